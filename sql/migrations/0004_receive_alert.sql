-- What one firing alert does: it opens an incident, joins the open one, or is only noted. Called by the query
-- `receive` as one statement, which is one transaction.
--
-- `alert` holds the columns that the alert decides (agent_mode and runbook_id are also those of the run to be
-- queued); the three payloads are those of the events `webhook_received`, `suppressed` and `resolved` as they would
-- be written; `moment` is the caller's clock, `cooldown` what has to lie between two runs of an incident.

create function close_earlier_replays(alert incidents, resolved jsonb, moment timestamptz)
returns void language plpgsql as $$
begin
    -- A replay in another process may be at work on its run right now: it goes on undisturbed.
    update runs r
       set status = 'cancelled', finished_at = moment, touched_at = clock_timestamp()
      from incidents i
     where i.id = r.incident_id
       and i.origin = alert.origin and i.cluster = alert.cluster and i.dedup_key = alert.dedup_key
       and i.scope <> alert.scope
       and i.status in ('open', 'suppressed')
       and r.status in ('queued', 'running')
       and r.touched_at < clock_timestamp() - interval '5 minutes';

    with closed as (
        update incidents i
           set status = 'resolved', resolved_at = moment, resolved_by = 'replay', updated_at = moment
         where i.origin = alert.origin and i.cluster = alert.cluster and i.dedup_key = alert.dedup_key
           and i.scope <> alert.scope
           and i.status in ('open', 'suppressed')
        returning i.id
    )
    insert into incident_events (incident_id, ts, event_type, payload)
    select id, moment, 'resolved', resolved from closed;
end
$$;

create function queue_run(incident bigint, alert incidents, runbook_sha256 text, moment timestamptz)
returns uuid language sql as $$
    insert into runs (incident_id, runbook_id, runbook_sha256, mode, queued_at)
    values (incident, alert.runbook_id, runbook_sha256, alert.agent_mode, moment)
    returning id
$$;

create function receive_alert(
    alert incidents, runbook_sha256 text, received jsonb, suppressed jsonb, resolved jsonb,
    moment timestamptz, cooldown interval,
    out incident_id bigint, out disposition text, out run_id uuid
) language plpgsql as $$
declare
    known    incidents;    -- the newest incident of this problem in this scope
    active   uuid;         -- its active run
    last_end timestamptz;  -- when its last run ended
begin
    -- Receivers of one problem take turns, so that none of them meets the unique index.
    perform pg_advisory_xact_lock(
        hashtextextended(concat_ws(chr(31), alert.origin, alert.cluster, alert.dedup_key), 0));
    if alert.origin = 'replay' then
        perform close_earlier_replays(alert, resolved, moment);
    end if;

    select i.* into known
      from incidents i
     where i.origin = alert.origin and i.cluster = alert.cluster and i.dedup_key = alert.dedup_key
       and i.scope = alert.scope
     order by i.id desc limit 1
       for no key update;
    select r.id into active
      from runs r
     where r.incident_id = known.id and r.status in ('queued', 'running', 'waiting_approval');
    select max(r.finished_at) into last_end from runs r where r.incident_id = known.id;

    disposition := case
        when known.id is null then 'opened'
        when known.status = 'resolved' and known.resolved_by = 'person'
             and coalesce(alert.starts_at <= coalesce(known.latest_starts_at, known.created_at), true)
            then 'closed_by_person'
        when known.status = 'resolved' then 'opened'
        when known.status = 'suppressed' then 'muted'
        when active is not null then 'suppressed'
        when last_end is null or moment - last_end > cooldown then 'requeued'
        else 'joined'
    end;

    if disposition = 'opened' then
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
        run_id := queue_run(incident_id, alert, runbook_sha256, moment);
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

    insert into incident_events (incident_id, ts, event_type, payload)
    values (incident_id, moment, 'webhook_received', received);
    if disposition = 'suppressed' then
        insert into incident_events (incident_id, run_id, ts, event_type, payload)
        select known.id, active, moment, 'suppressed', suppressed
         where not exists (select from incident_events e where e.run_id = active and e.event_type = 'suppressed');
    end if;

    if disposition = 'opened' then  -- last, because every incident of this alert name waits for this row
        insert into alert_counts as c (origin, cluster, alertname, incidents, first_at, last_at)
        values (alert.origin, alert.cluster, alert.alertname, 1, moment, moment)
        on conflict (origin, alertname, cluster) do update
           set incidents = c.incidents + 1,
               first_at = least(c.first_at, excluded.first_at),
               last_at = greatest(c.last_at, excluded.last_at);
    end if;
end
$$;
