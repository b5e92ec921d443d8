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

create or replace function known_incident(alert incidents) returns incidents language plpgsql as $$
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

-- `bodies` is an array of {alerts, truncated, payload} as `webhooks` keeps them; `alerts` one of {does: receive |
-- resolve | note, alert, runbook_sha256, received, suppressed, by, resolved}, in the order of the bodies. Answers one
-- row for each alert, in that order: what receive_alert, resolve_alert or note_alert answers.
create function take_in(bodies jsonb, alerts jsonb, moment timestamptz, cooldown interval)
returns table (place bigint, incident_id bigint, disposition text, run_id uuid) language plpgsql as $$
declare
    entry   record;
    receipt record;
    queued  uuid[] := '{}';
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

    for entry in
        select given.place, given.value as asked, jsonb_populate_record(null::incidents, given.value -> 'alert') as alert
          from jsonb_array_elements(take_in.alerts) with ordinality as given (value, place)
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
