-- name: receive
select incident_id, disposition, run_id
  from receive_alert(
    alert => jsonb_populate_record(null::incidents, %(alert)s::jsonb),
    runbook_sha256 => %(runbook_sha256)s,
    received => %(received)s,
    suppressed => %(suppressed)s,
    superseded => %(superseded)s,
    moment => %(now)s,
    cooldown => %(cooldown)s);

-- name: note
select note_alert(
    alert => jsonb_populate_record(null::incidents, %(alert)s::jsonb),
    received => %(received)s,
    moment => %(now)s) as incident_id;

-- name: resolve
select resolve_alert(
    alert => jsonb_populate_record(null::incidents, %(alert)s::jsonb),
    resolver => %(by)s,
    resolved => %(resolved)s,
    superseded => %(superseded)s,
    moment => %(now)s) as incident_id;

-- name: incident
select id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node, workload,
       severity, runbook_id, status, agent_mode, summary, action_taken, action_recommended, action_error, labels,
       annotations, suppressed_count, starts_at, created_at, updated_at, resolved_at
  from incidents
 where id = %(incident_id)s;

-- name: events
select id, seq, ts, event_type, payload, encode(prev_hash, 'hex') as prev_hash, encode(hash, 'hex') as hash, run_id
  from incident_events
 where incident_id = %(incident_id)s and seq > %(after)s
 order by seq
 limit %(most)s;

-- name: newest_events
with newest as (
    select seq
      from incident_events
     where incident_id = %(incident_id)s
     order by seq desc
     limit %(most)s),
before as (
    select max(seq) as seq
      from incident_events
     where incident_id = %(incident_id)s and seq < (select min(seq) from newest)
     group by event_type)
select id, seq, ts, event_type, payload, encode(prev_hash, 'hex') as prev_hash, encode(hash, 'hex') as hash, run_id
  from incident_events join (select seq from before union all select seq from newest) as shown using (seq)
 where incident_id = %(incident_id)s
 order by seq;
