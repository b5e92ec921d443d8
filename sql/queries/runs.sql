-- Each of these is one statement, so it happens as a whole or not at all. What depends on the fence selects from
-- `held`: where the run is somebody else's there is no row, and nothing is written. `events` is what `append_events`
-- takes.

-- name: start_run
-- Whoever held a run that is taken over did not hand it back.
update runs
   set status = 'running', mode = coalesce(%(mode)s, mode), attempt = attempt + 1,
       started_at = coalesce(started_at, %(now)s),
       deaths = deaths + (status = 'running')::integer, touched_at = clock_timestamp()
 where id = %(run_id)s and status in ('queued', 'running')
returning id, incident_id, attempt, deaths;

-- name: steps_so_far
-- The steps that earlier attempts at a run have stored, in their order.
select payload from incident_events
 where incident_id = %(incident_id)s and run_id = %(run_id)s and event_type = 'step'
 order by seq;

-- name: intents_so_far
select id, tool, action, value, near_limit, status, detail, body, intended_at
  from actions
 where incident_id = %(incident_id)s and run_id = %(run_id)s
 order by id;

-- name: evictions_so_far
select namespace, pod, status from evictions where action_id = %(action_id)s order by place;

-- name: finish_run
with held as (
    update runs
       set status = %(status)s, retry_at = %(retry_at)s, finished_at = %(finished_at)s,
           touched_at = clock_timestamp()
     where id = %(run_id)s and attempt = %(attempt)s and status = 'running'
    returning id, incident_id, mode),
ended as (
    update incidents i
       set agent_mode = held.mode,
           summary = coalesce(%(summary)s, i.summary),
           workload = coalesce(%(workload)s, i.workload),
           node = coalesce(%(node)s, i.node),
           -- What was done stays said, whatever a later run of the incident finds; advice and errors are the latest's.
           action_taken = coalesce(%(action_taken)s, i.action_taken),
           action_recommended = %(action_recommended)s,
           action_error = %(action_error)s,
           updated_at = greatest(i.updated_at, %(now)s)
      from held
     where i.id = held.incident_id
    returning i.id as incident_id, held.id as run_id)
select incident_id, append_events(incident_id, run_id, %(now)s, %(events)s) from ended;

-- name: record_intent
select action_id, braked_by, retry_at
  from record_intent(
    holder => %(run_id)s,
    held_attempt => %(attempt)s,
    wanted => jsonb_populate_record(null::actions, %(action)s::jsonb),
    pods => %(evictions)s,
    limits => jsonb_populate_record(null::brake_limits, %(limits)s::jsonb),
    events => %(events)s,
    moment => %(now)s);

-- name: settle_eviction
-- Not fenced: what happened in the cluster is recorded by whoever saw it.
update evictions
   set status = %(outcome)s, detail = %(detail)s, decided_at = %(now)s
 where action_id = %(action_id)s and namespace = %(namespace)s and pod = %(pod)s and status = 'intended'
returning place;

-- name: record_outcome
-- Not fenced: what happened in the cluster is recorded by whoever saw it.
with touched as (
    update runs
       set touched_at = clock_timestamp()
     where id = %(run_id)s and attempt = %(attempt)s and status = 'running'),
ended as (
    update actions
       set status = %(outcome)s, detail = %(detail)s, finished_at = %(now)s
     where id = %(action_id)s and run_id = %(run_id)s
    returning incident_id, run_id)
select incident_id, append_events(incident_id, run_id, %(now)s, %(events)s) from ended;

-- name: record_steps
with held as (
    update runs
       set touched_at = clock_timestamp()
     where id = %(run_id)s and attempt = %(attempt)s and status = 'running'
    returning id, incident_id)
select incident_id, append_events(incident_id, id, %(now)s, %(events)s) from held;

-- name: past_actions
select id, incident_id, run_id, tool, action, target_key, value, near_limit, status, intended_at, finished_at
  from actions
 where scope = %(scope)s and cluster = %(cluster)s and target_key = %(target_key)s and intended_at >= %(since)s
 order by intended_at desc, id desc;

-- name: runs_by_runbook
select runbook_id, status, count(*) as runs, max(finished_at) as last_run_at
  from runs
 where runbook_id is not null
 group by runbook_id, status;
