-- What the streams of a server ask: which events are appended, and how their incidents stand.

-- name: listen_changes
listen incident_changes;

-- name: newest_event
select coalesce(max(id), 0) as id from incident_events;

-- name: changes_of
select e.id as event_id, e.event_type, e.incident_id, i.origin, i.status, i.updated_at
  from incident_events e
  join incidents i on i.id = e.incident_id
 where e.id in (select value::bigint from jsonb_array_elements_text(%(event_ids)s))
 order by e.id;

-- name: changes_after
select e.id as event_id, e.event_type, e.incident_id, i.origin, i.status, i.updated_at
  from incident_events e
  join incidents i on i.id = e.incident_id
 where e.id > %(event_id)s
 order by e.id
 limit %(most)s;
