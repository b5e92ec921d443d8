-- The list, newest first. A filter that is null is none; planned for its values each time, so that what is not asked
-- costs nothing and each filter finds its index (0007). What is skipped is skipped in the index: rows are looked up
-- for one page only.

-- name: incident_page
with place as (
    select id
      from incidents
     where (%(origin)s::text is null or origin = %(origin)s)
       and (%(status)s::text is null or status = %(status)s)
       and (%(alertname)s::text is null or alertname = %(alertname)s)
       and (%(namespace)s::text is null or namespace = %(namespace)s)
       and (%(node)s::text is null or node = %(node)s)
       and (%(severity)s::text is null or severity = %(severity)s)
       and (%(runbook_id)s::text is null or runbook_id = %(runbook_id)s)
       and (%(since)s::timestamptz is null or updated_at >= %(since)s)
       and (%(text)s::text is null or words @@ words_query(%(text)s))
       and (%(cursor_at)s::timestamptz is null or (updated_at, id) < (%(cursor_at)s, %(cursor_id)s))
     order by updated_at desc, id desc
     limit %(most)s offset %(skipped)s)
select id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node, workload,
       severity, runbook_id, status, agent_mode, summary, action_taken, action_recommended, action_error, labels,
       annotations, suppressed_count, starts_at, created_at, updated_at, resolved_at
  from place join incidents using (id)
 order by updated_at desc, id desc;

-- name: lately
-- What was opened and what was changed since a moment, and what is open now; live incidents alone. What was opened then
-- was updated then, too, and by that it is found. Counted is up to a number that a person does not tell from a larger one.
-- A change whose answer never came may have been made.
select opened.*, made.*, standing.*
  from (select count(*) as incidents,
               count(*) filter (where action_error is not null) as failed,
               count(*) filter (where action_error is null and action_taken is null and action_recommended is not null)
                   as recommended
          from (select action_error, action_taken, action_recommended
                  from incidents
                 where origin = 'live' and updated_at >= %(since)s and created_at >= %(since)s
                 order by updated_at desc
                 limit %(most_counted)s) newest) opened,
       (select count(*) as changes,
               coalesce(jsonb_agg(
                   jsonb_build_object(
                       'incident_id', incident_id, 'action', action, 'at', intended_at, 'known', status = 'done')
                   order by place) filter (where place <= %(most)s), '[]') as newest
          from (select incident_id, action, intended_at, status,
                       row_number() over (order by intended_at desc, id desc) as place
                  from actions
                 where scope = 'live' and cluster = %(cluster)s and intended_at >= %(since)s
                   and status in ('done', 'unknown')) done
       ) made,
       (select count(*) as open
          from (select from incidents where origin = 'live' and status = 'open' limit %(most_counted)s) each) standing;

-- name: nearest_incidents
(select id from incidents where id < %(incident_id)s order by id desc limit %(each_side)s)
union all
(select id from incidents where id > %(incident_id)s order by id limit %(each_side)s)
order by id;

-- name: pruned_at
select pruned_at from incident_ledger where incident_id = %(incident_id)s and pruned_at is not null;

-- name: resolve_by_person
-- What waits for a worker is cancelled; a run that is at work sees for itself. The run is locked first (0002).
with cancelled as (
    update runs
       set status = 'cancelled', finished_at = %(now)s, touched_at = clock_timestamp()
     where incident_id = %(incident_id)s and status = 'queued'
    returning id),
closed as (
    update incidents
       set status = 'resolved', resolved_at = %(now)s, resolved_by = 'person',
           updated_at = greatest(updated_at, %(now)s)
     where id = %(incident_id)s and status in ('open', 'suppressed') and (select count(*) from cancelled) >= 0
    returning id),
appended as (
    insert into incident_events (incident_id, ts, event_type, payload)
    select id, %(now)s, 'resolved', %(resolved)s from closed)
select id from closed;

-- name: suppress_by_person
with cancelled as (
    update runs
       set status = 'cancelled', finished_at = %(now)s, touched_at = clock_timestamp()
     where incident_id = %(incident_id)s and status = 'queued'
       and (select status from incidents where id = %(incident_id)s) = 'open'
    returning id),
muted as (
    update incidents
       set status = 'suppressed', updated_at = greatest(updated_at, %(now)s)
     where id = %(incident_id)s and status = 'open' and (select count(*) from cancelled) >= 0
    returning id),
appended as (
    insert into incident_events (incident_id, ts, event_type, payload)
    select id, %(now)s, 'suppressed', %(suppressed)s from muted)
select id from muted;
