-- What one alert does. Firing, it opens an incident, joins the open one, or is only noted; resolved, it closes the
-- open one. Called by the queries `receive`, `note` and `resolve` as one statement, which is one transaction.
--
-- `alert` holds the columns that the alert decides (agent_mode and runbook_id are also those of the run to be
-- queued); `received`, `suppressed`, `superseded` and `resolved` are what `append_events` would append; `moment` is the caller's clock, `cooldown` what has to lie between two runs of an incident.
--
-- Replays of one problem at the same time: each closes what it finds open of the others, because one incident may be
-- open. A replay whose own incident was closed so goes on as if it were open: what it prints must not depend on who
-- else is at work, nor on what was replayed before.

-- The newest incident of the problem in the alert's own scope, locked; null without one.
create function known_incident(alert incidents) returns incidents language plpgsql as $$
declare
    known incidents;
begin
    -- Whoever may open or close an incident of one problem waits here, so that none of them meets the unique index.
    perform pg_advisory_xact_lock(
        hashtextextended(concat_ws(chr(31), alert.origin, alert.cluster, alert.dedup_key), 0));
    select i.* into known
      from incidents i
     where i.origin = alert.origin and i.cluster = alert.cluster and i.dedup_key = alert.dedup_key
       and i.scope = alert.scope
     order by i.id desc limit 1
       for no key update;
    return known;
end
$$;

-- Whether an alert of the incident's own scope joins it.
create function counts_as_open(incident incidents) returns boolean language sql immutable as $$
    select incident.status in ('open', 'suppressed') or incident.resolved_by = 'replay'
$$;

create function close_other_replays(alert incidents, superseded jsonb, moment timestamptz)
returns void language plpgsql as $$
declare
    closed bigint;  -- one at most: the unique index
begin
    -- What a replay that was killed left behind, also where its incident was closed meanwhile. A replay in another
    -- process may be at work on its run right now: that one goes on undisturbed.
    update runs r
       set status = 'cancelled', finished_at = moment, touched_at = clock_timestamp()
     where r.status in ('queued', 'running')
       and r.touched_at < clock_timestamp() - interval '5 minutes'
       and exists (
           select from incidents i
            where i.id = r.incident_id
              and i.origin = alert.origin and i.cluster = alert.cluster and i.dedup_key = alert.dedup_key
              and i.scope <> alert.scope);

    update incidents i
       set status = 'resolved', resolved_at = moment, resolved_by = 'replay', updated_at = moment
     where i.origin = alert.origin and i.cluster = alert.cluster and i.dedup_key = alert.dedup_key
       and i.scope <> alert.scope
       and i.status in ('open', 'suppressed')
    returning i.id into closed;
    if found then
        perform append_events(closed, null, moment, superseded);
    end if;
end
$$;

create function receive_alert(
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
        values (receive_alert.incident_id, alert.runbook_id, receive_alert.runbook_sha256, alert.agent_mode, moment)
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

-- Appends the alert to the incident that it would join, and moves only updated_at; null where none is open.
create function note_alert(alert incidents, received jsonb, moment timestamptz) returns bigint language plpgsql as $$
declare
    known incidents := known_incident(alert);
begin
    if known.id is null or not counts_as_open(known) then
        return null;
    end if;
    update incidents i set updated_at = greatest(i.updated_at, moment) where i.id = known.id;
    perform append_events(known.id, null, moment, received);
    return known.id;
end
$$;

-- Closes the incident that the alert would join; null where none is open.
create function resolve_alert(
    alert incidents, resolver text, resolved jsonb, superseded jsonb, moment timestamptz
) returns bigint language plpgsql as $$
declare
    known incidents := known_incident(alert);
begin
    if known.id is null or not counts_as_open(known) then
        if alert.origin = 'replay' then
            perform close_other_replays(alert, superseded, moment);
        end if;
        return null;
    end if;
    update incidents i
       set status = 'resolved', resolved_at = moment, resolved_by = resolver,
           updated_at = greatest(i.updated_at, moment)
     where i.id = known.id;
    perform append_events(known.id, null, moment, resolved);
    return known.id;
end
$$;
