-- with-procrastinate: 03.04.00_50
-- Whole webhook bodies: kept as they were understood, and taken in by one statement, however many alerts they hold.
--
-- Runs that are queued here wait for a worker as jobs of Procrastinate, whose tables stand in the schema `jobs`; the
-- job is there when the run is, because one commit makes both.

create table webhooks (
    id          bigserial   primary key,
    received_at timestamptz not null,
    alerts      integer     not null check (alerts >= 0),
    truncated   bigint      not null check (truncated >= 0),
    payload     jsonb       not null
);

create index webhooks_received on webhooks (received_at);

create index runs_retry on runs (retry_at) where retry_at is not null and finished_at is not null;

-- A worker that dies while it holds a run leaves it `running`; one that hands it back leaves it `queued`.
alter table runs add column deaths integer not null default 0 check (deaths >= 0);

-- Which of the locks an alert's problem waits for. A body of ten thousand alerts must not fill the server's lock table,
-- so problems share 1024 of them.
create function problem_lock(origin text, cluster text, dedup_key text) returns bigint language sql immutable
return hashtextextended(concat_ws(chr(31), origin, cluster, dedup_key), 0) & 1023;

-- Here and in `opens`, sorting is off because the index of problems has the order that is asked for. Of a table that was
-- never analyzed the planner knows nothing else that tells it from an index by alert name, which is a thousand times
-- slower.
create or replace function known_incident(alert incidents) returns incidents language plpgsql
set enable_sort = off as $$
declare
    known incidents;
begin
    -- Whoever may open or close an incident of one problem waits here, so that none of them meets the unique index.
    perform pg_advisory_xact_lock(problem_lock(alert.origin, alert.cluster, alert.dedup_key));
    select i.* into known
      from incidents i
     where i.origin = alert.origin and i.cluster = alert.cluster and i.dedup_key = alert.dedup_key
       and i.scope = alert.scope
     order by i.id desc limit 1
       for no key update;
    return known;
end
$$;

create function defer_runs(ids uuid[]) returns void language plpgsql set search_path = jobs as $$
begin
    perform procrastinate_defer_jobs_v1(array_agg(
        row('runs', 'run', 0, null, null, jsonb_build_object('run_id', id), null)::procrastinate_job_to_defer_v1))
      from unnest(ids) as id
    having count(*) > 0;
end
$$;

-- Frees jobs whose worker is silent, or whose own worker no longer knows of them, and says how many: they wait for
-- another one. `held` are those that worker `own` is at work on; one that it has just fetched may not be among them yet.
-- In parts, and past what somebody else is freeing at this moment.
create function take_back_jobs(own bigint, held bigint[], silence interval) returns bigint
language plpgsql set search_path = jobs as $$
declare
    freed bigint;
begin
    with stalled as (
        select j.id
          from procrastinate_jobs j
          left join procrastinate_workers w on w.id = j.worker_id
         where j.status = 'doing'
           and (w.id is null
                or w.last_heartbeat < clock_timestamp() - silence
                or (w.id = own and j.id <> all (held)
                    and not exists (
                        select from procrastinate_events e
                         where e.job_id = j.id and e.type = 'started'
                           and e.at > clock_timestamp() - interval '10 seconds')))
         order by j.id
         limit 1000
           for update of j skip locked)
    update procrastinate_jobs j
       set status = 'todo', attempts = attempts + 1, worker_id = null
      from stalled
     where j.id = stalled.id;
    get diagnostics freed = row_count;
    return freed;
end
$$;

-- An incident is changed by each event that is appended to it, first by the one that opens it. A page that has room for
-- another version of every row spares that change an entry in each index.
alter table incidents set (fillfactor = 50);

-- Once for all incidents of a statement.
create or replace function enter_in_ledger() returns trigger language plpgsql as $$
begin
    insert into incident_ledger (incident_id) select id from entered order by id;
    return null;
end
$$;

drop trigger enter_in_ledger on incidents;
create trigger enter_in_ledger after insert on incidents referencing new table as entered
    for each statement execute function enter_in_ledger();

do $$
begin
    execute format('alter function enter_in_ledger() set search_path = %I, pg_temp', current_schema());
end
$$;

-- An alert that opens an incident, with the ids that it is given.
create type opening as (
    place          bigint,
    incident_id    bigint,
    run_id         uuid,
    alert          incidents,
    runbook_sha256 text,
    received       jsonb
);

-- For each of the alerts that `take_in` has, in order, whether it is the first of its problem there, and the problem is
-- new, or was over when Alertmanager said so: all that receive_alert would do about it is to open an incident. Each is
-- looked up by itself (`limit 1`), because a plan that was made while the table was small would compare all with all.
create function opens(alerts jsonb) returns boolean[] language sql stable
set enable_sort = off as $$
    select array_agg(
               first_of_all and does = 'receive' and origin = 'live'
               and (select i.status <> 'resolved' or i.resolved_by <> 'alertmanager'
                      from incidents i
                     where i.origin = named.origin and i.cluster = named.cluster and i.dedup_key = named.dedup_key
                       and i.scope = named.scope
                     order by i.id desc limit 1) is not true
               order by place)
      from (select given.place, given.value ->> 'does' as does, alert.*,
                   row_number() over (
                       partition by alert.origin, alert.cluster, alert.dedup_key order by given.place) = 1
                       as first_of_all
              from jsonb_array_elements(alerts) with ordinality as given (value, place),
                   jsonb_to_record(given.value -> 'alert')
                       as alert (origin text, scope text, cluster text, dedup_key text)) as named
$$;

-- What receive_alert does about alerts that open incidents, for all of them at once.
create function open_incidents(openings opening[], moment timestamptz) returns void language plpgsql as $$
begin
    insert into incidents (
        id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node, workload,
        severity, runbook_id, agent_mode, labels, annotations, starts_at, latest_starts_at, created_at, updated_at)
    select o.incident_id, (o.alert).origin, (o.alert).scope, (o.alert).cluster, (o.alert).fingerprint,
           (o.alert).dedup_key, (o.alert).alertname, (o.alert).namespace, (o.alert).pod, (o.alert).container,
           (o.alert).node, (o.alert).workload, (o.alert).severity, (o.alert).runbook_id, (o.alert).agent_mode,
           (o.alert).labels, (o.alert).annotations, (o.alert).starts_at, (o.alert).starts_at, moment, moment
      from unnest(openings) as o;

    insert into runs (id, incident_id, runbook_id, runbook_sha256, mode, queued_at)
    select o.run_id, o.incident_id, (o.alert).runbook_id, o.runbook_sha256, (o.alert).agent_mode, moment
      from unnest(openings) as o;

    insert into incident_events (incident_id, ts, event_type, payload)
    select o.incident_id, moment, event.value ->> 'type', event.value -> 'payload'
      from unnest(openings) as o, jsonb_array_elements(o.received) as event;

    insert into alert_counts as c (origin, cluster, alertname, incidents, first_at, last_at)
    select (o.alert).origin, (o.alert).cluster, (o.alert).alertname, count(*), moment, moment
      from unnest(openings) as o
     group by 1, 2, 3
     order by 1, 2, 3
    on conflict (origin, alertname, cluster) do update
       set incidents = c.incidents + excluded.incidents,
           first_at = least(c.first_at, excluded.first_at),
           last_at = greatest(c.last_at, excluded.last_at);
end
$$;

-- `bodies` is an array of {alerts, truncated, payload} as `webhooks` keeps them; `alerts` one of {does: receive |
-- resolve | note, alert, runbook_sha256, received, suppressed, by, resolved}, in the order of the bodies. Answers one
-- row for each alert: what receive_alert, resolve_alert or note_alert answers. Those that open incidents come first and
-- all at once, the others after them, one by one in their order.
create function take_in(bodies jsonb, alerts jsonb, moment timestamptz, cooldown interval)
returns table (place bigint, incident_id bigint, disposition text, run_id uuid) language plpgsql as $$
declare
    opening_places boolean[];
    openings       opening[];
    entry          record;
    receipt        record;
    queued         uuid[];
begin
    insert into webhooks (received_at, alerts, truncated, payload)
    select moment, body.alerts, body.truncated, body.payload
      from jsonb_to_recordset(bodies) as body (alerts integer, truncated bigint, payload jsonb);

    -- All locks first, in one order, so that two bodies with the same alerts wait for each other and never crosswise.
    perform pg_advisory_xact_lock(lock)
      from (select distinct problem_lock(origin, cluster, dedup_key) as lock
              from jsonb_array_elements(take_in.alerts) as given,
                   jsonb_to_record(given -> 'alert') as named (origin text, cluster text, dedup_key text)
             order by lock) as ordered;

    opening_places := opens(take_in.alerts);
    select array_agg(
               row(given.place, nextval('incidents_id_seq'), gen_random_uuid(),
                   jsonb_populate_record(null::incidents, given.value -> 'alert'),
                   given.value ->> 'runbook_sha256', given.value -> 'received')::opening)
      into openings
      from jsonb_array_elements(take_in.alerts) with ordinality as given (value, place)
     where opening_places[given.place];
    if openings is not null then
        perform open_incidents(openings, moment);
        return query select o.place, o.incident_id, 'opened', o.run_id from unnest(openings) as o;
        queued := array(select o.run_id from unnest(openings) as o);
    end if;

    for entry in
        select given.place, given.value as asked, jsonb_populate_record(null::incidents, given.value -> 'alert') as alert
          from jsonb_array_elements(take_in.alerts) with ordinality as given (value, place)
         where not opening_places[given.place]
         order by given.place
    loop
        place := entry.place;
        disposition := null;
        run_id := null;
        case entry.asked ->> 'does'
            when 'receive' then
                select * into receipt
                  from receive_alert(
                    entry.alert, entry.asked ->> 'runbook_sha256', entry.asked -> 'received',
                    entry.asked -> 'suppressed', '[]', moment, cooldown);
                incident_id := receipt.incident_id;
                disposition := receipt.disposition;
                run_id := receipt.run_id;
                if run_id is not null then
                    queued := queued || run_id;
                end if;
            when 'note' then
                incident_id := note_alert(entry.alert, entry.asked -> 'received', moment);
            else
                incident_id := resolve_alert(
                    entry.alert, entry.asked ->> 'by', entry.asked -> 'resolved', '[]', moment);
        end case;
        return next;
    end loop;

    perform defer_runs(queued);
end
$$;
