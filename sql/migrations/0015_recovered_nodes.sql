-- Incidents of nodes whose alert is over, and which stay open until the node is seen Ready.
--
-- `over_seq` is the event of the notification that called the alert over. A later notification takes that back: an
-- incident is over as long as no `webhook_received` follows that event.

alter table incidents add column over_seq bigint;

create index incidents_over on incidents (id) where over_seq is not null and status in ('open', 'suppressed');

create function is_over(incident incidents) returns boolean language sql stable as $$
    select incident.over_seq is not null
       and not exists (
           select from incident_events e
            where e.incident_id = incident.id and e.seq > incident.over_seq and e.event_type = 'webhook_received')
$$;

-- Appends the resolved alert to the incident that it would join, and moves only updated_at; null where none is open.
create or replace function note_alert(alert incidents, received jsonb, moment timestamptz)
returns bigint language plpgsql as $$
declare
    known incidents := known_incident(alert);
begin
    if known.id is null or not counts_as_open(known) then
        return null;
    end if;
    perform append_events(known.id, null, moment, received);
    update incidents i
       set updated_at = greatest(i.updated_at, moment), over_seq = i.last_seq
     where i.id = known.id;
    return known.id;
end
$$;

-- Closes an incident that is over, unless another notification came since event `seen`, or somebody else closed it.
-- Waits for whoever takes an alert of its problem in, as that one waits for this.
create function close_over(incident bigint, seen bigint, resolved jsonb, moment timestamptz)
returns boolean language plpgsql as $$
declare
    known incidents;
begin
    select i.* into known from incidents i where i.id = incident;
    perform pg_advisory_xact_lock(problem_lock(known.origin, known.cluster, known.dedup_key));
    select i.* into known from incidents i where i.id = incident for no key update;
    if known.status not in ('open', 'suppressed') or known.over_seq is distinct from seen or not is_over(known) then
        return false;
    end if;
    update incidents i
       set status = 'resolved', resolved_at = moment, resolved_by = 'alertmanager',
           updated_at = greatest(i.updated_at, moment)
     where i.id = incident;
    perform append_events(incident, null, moment, resolved);
    return true;
end
$$;
