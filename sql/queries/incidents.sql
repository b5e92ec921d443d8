-- name: receive
select incident_id, disposition, run_id
  from receive_alert(
    alert => jsonb_populate_record(null::incidents, %(alert)s::jsonb),
    runbook_sha256 => %(runbook_sha256)s,
    received => %(received)s,
    suppressed => %(suppressed)s,
    resolved => %(resolved)s,
    moment => %(now)s,
    cooldown => %(cooldown)s);

-- name: resolve
with closed as (
    update incidents
       set status = 'resolved', resolved_at = %(now)s, resolved_by = %(by)s,
           updated_at = greatest(updated_at, %(now)s)
     where origin = %(origin)s and cluster = %(cluster)s and dedup_key = %(dedup_key)s
       and status in ('open', 'suppressed')
    returning id),
appended as (
    insert into incident_events (incident_id, ts, event_type, payload)
    select id, %(now)s, 'resolved', %(resolved)s from closed)
select id from closed order by id;

-- name: open_incident_for
select id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node, workload,
       severity, runbook_id, status, agent_mode, summary, action_taken, action_recommended, action_error, labels,
       annotations, suppressed_count, starts_at, created_at, updated_at, resolved_at
  from incidents
 where origin = %(origin)s and cluster = %(cluster)s and dedup_key = %(dedup_key)s and scope = %(scope)s
   and status in ('open', 'suppressed');

-- name: incident
select id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node, workload,
       severity, runbook_id, status, agent_mode, summary, action_taken, action_recommended, action_error, labels,
       annotations, suppressed_count, starts_at, created_at, updated_at, resolved_at
  from incidents
 where id = %(incident_id)s;

-- name: events
select id, seq, ts, event_type, payload, encode(prev_hash, 'hex') as prev_hash, encode(hash, 'hex') as hash, run_id
  from incident_events
 where incident_id = %(incident_id)s
 order by seq;
