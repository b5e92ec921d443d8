-- How often an alert name fired is counted once for a whole body, at its end and in one order.
--
-- A body may open some of its incidents all at once and others one by one (those that a person had resolved, or that come
-- twice). Counted as they came, two bodies with the same alert names in another order waited for each other crosswise,
-- and one of them was lost until Alertmanager sent it again.

create type opened_alert as (origin text, cluster text, alertname text);

create function count_opened(opened opened_alert[], moment timestamptz) returns void language plpgsql as $$
begin
    insert into alert_counts as c (origin, cluster, alertname, incidents, first_at, last_at)
    select o.origin, o.cluster, o.alertname, count(*), moment, moment
      from unnest(opened) as o
     group by 1, 2, 3
     order by 1, 2, 3
    on conflict (origin, alertname, cluster) do update
       set incidents = c.incidents + excluded.incidents,
           first_at = least(c.first_at, excluded.first_at),
           last_at = greatest(c.last_at, excluded.last_at);
end
$$;

-- What receive_alert did (0004), without the count.
create function admit_alert(
    alert incidents, runbook_sha256 text, received jsonb, suppressed jsonb, superseded jsonb,
    moment timestamptz, cooldown interval,
    out incident_id bigint, out disposition text, out run_id uuid
) language plpgsql as $$
declare
    known    incidents := known_incident(alert);
    active   uuid;         -- its active run
    last_end timestamptz;  -- when its last run ended
begin
    if known.id is not null then
        select r.id into active
          from runs r
         where r.incident_id = known.id and r.status in ('queued', 'running', 'waiting_approval');
        select max(r.finished_at) into last_end from runs r where r.incident_id = known.id;
    end if;

    disposition := case
        when known.id is null then 'opened'
        when known.resolved_by = 'person'
             and coalesce(alert.starts_at <= coalesce(known.latest_starts_at, known.created_at), true)
            then 'closed_by_person'
        when not counts_as_open(known) then 'opened'
        when known.status = 'suppressed' then 'muted'
        when active is not null then 'suppressed'
        when last_end is null or moment - last_end > cooldown then 'requeued'
        else 'joined'
    end;

    if disposition = 'opened' then
        if alert.origin = 'replay' then
            perform close_other_replays(alert, superseded, moment);
        end if;
        insert into incidents (
            origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node, workload,
            severity, runbook_id, agent_mode, labels, annotations, starts_at, latest_starts_at, created_at, updated_at)
        values (
            alert.origin, alert.scope, alert.cluster, alert.fingerprint, alert.dedup_key, alert.alertname,
            alert.namespace, alert.pod, alert.container, alert.node, alert.workload, alert.severity,
            alert.runbook_id, alert.agent_mode, alert.labels, alert.annotations, alert.starts_at, alert.starts_at,
            moment, moment)
        returning id into incident_id;
    else
        incident_id := known.id;
    end if;

    if disposition in ('opened', 'requeued') then
        insert into runs (incident_id, runbook_id, runbook_sha256, mode, queued_at)
        values (admit_alert.incident_id, alert.runbook_id, admit_alert.runbook_sha256, alert.agent_mode, moment)
        returning id into run_id;
    end if;

    if disposition in ('muted', 'suppressed', 'requeued', 'joined') then
        update incidents i
           set updated_at = greatest(i.updated_at, moment),
               annotations = alert.annotations,
               latest_starts_at = greatest(i.latest_starts_at, alert.starts_at),
               suppressed_count = i.suppressed_count + (disposition = 'suppressed')::integer,
               runbook_id = case disposition when 'requeued' then alert.runbook_id else i.runbook_id end,
               agent_mode = case disposition when 'requeued' then alert.agent_mode else i.agent_mode end
         where i.id = known.id;
    end if;

    perform append_events(incident_id, null, moment, received);
    if disposition = 'suppressed'
       and not exists (select from incident_events e where e.run_id = active and e.event_type = 'suppressed') then
        perform append_events(incident_id, active, moment, suppressed);
    end if;
end
$$;

-- One alert that comes alone. Counted last, because every incident of its name waits for that row.
create or replace function receive_alert(
    alert incidents, runbook_sha256 text, received jsonb, suppressed jsonb, superseded jsonb,
    moment timestamptz, cooldown interval,
    out incident_id bigint, out disposition text, out run_id uuid
) language plpgsql as $$
begin
    select a.* into incident_id, disposition, run_id
      from admit_alert(alert, runbook_sha256, received, suppressed, superseded, moment, cooldown) a;
    if disposition = 'opened' then
        perform count_opened(
            array[row(alert.origin, alert.cluster, alert.alertname)::opened_alert], moment);
    end if;
end
$$;

-- As in 0012, without the count.
create or replace function open_incidents(openings opening[], moment timestamptz) returns void language plpgsql as $$
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
end
$$;

-- As in 0012; what it opened is counted last, for the same reason.
create or replace function take_in(bodies jsonb, alerts jsonb, moment timestamptz, cooldown interval)
returns table (place bigint, incident_id bigint, disposition text, run_id uuid) language plpgsql as $$
declare
    opening_places boolean[];
    openings       opening[];
    entry          record;
    receipt        record;
    queued         uuid[];
    opened         opened_alert[];
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
        opened := array(
            select row((o.alert).origin, (o.alert).cluster, (o.alert).alertname)::opened_alert from unnest(openings) as o);
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
                  from admit_alert(
                    entry.alert, entry.asked ->> 'runbook_sha256', entry.asked -> 'received',
                    entry.asked -> 'suppressed', '[]', moment, cooldown);
                incident_id := receipt.incident_id;
                disposition := receipt.disposition;
                run_id := receipt.run_id;
                if run_id is not null then
                    queued := queued || run_id;
                end if;
                if disposition = 'opened' then
                    opened := opened || row(
                        (entry.alert).origin, (entry.alert).cluster, (entry.alert).alertname)::opened_alert;
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
    perform count_opened(opened, moment);
end
$$;
