-- What waits, what is at work, what was left behind. The jobs themselves are Procrastinate's; `runs` says what is true.

-- name: take_in
select incident_id, disposition, run_id
  from take_in(bodies => %(bodies)s, alerts => %(alerts)s, moment => %(now)s, cooldown => %(cooldown)s)
 order by place;

-- name: assignment
select r.id as run_id, r.incident_id, r.mode, r.attempt, r.finished_at, i.scope,
       i.status <> 'open' or is_over(i) as over,
       i.labels, i.annotations, i.fingerprint, i.latest_starts_at
  from runs r join incidents i on i.id = r.incident_id
 where r.id = %(run_id)s;

-- name: hand_back
update runs
   set status = 'queued', touched_at = clock_timestamp()
 where id = %(run_id)s and attempt = %(attempt)s and status = 'running'
returning id;

-- name: cancel_run
-- What it was queued for is over before anybody began.
update runs
   set status = 'cancelled', finished_at = %(now)s, touched_at = clock_timestamp()
 where id = %(run_id)s and status = 'queued'
returning id;

-- name: park_run
-- A run that was taken up as often as it may be, and whose end could not be stored. What earlier attempts did stands in
-- its events and in `actions`.
with parked as (
    update runs
       set status = 'escalated', finished_at = %(now)s, touched_at = clock_timestamp()
     where id = %(run_id)s and attempt = %(attempt)s and status = 'running' and deaths >= %(deaths)s
    returning id, incident_id),
told as (
    update incidents i
       set summary = coalesce(i.runbook_id || ': ', '') || %(why)s::text, action_error = %(why)s::text,
           updated_at = greatest(i.updated_at, %(now)s)
      from parked
     where i.id = parked.incident_id
    returning i.id as incident_id, parked.id as run_id)
select incident_id, append_events(incident_id, run_id, %(now)s, %(events)s) from told;

-- name: finish_own_job
-- Only the worker that holds a job ends it; the row is locked, so that nobody takes it back in between.
select own.id, procrastinate_finish_job_v1(own.id, %(status)s, %(delete_job)s)
  from (select id from procrastinate_jobs
         where id = %(job_id)s and worker_id = %(worker_id)s and status = 'doing' for update) as own;

-- name: retry_own_job
select own.id, procrastinate_retry_job_v2(own.id, %(retry_at)s, %(priority)s, %(queue)s, %(lock)s)
  from (select id from procrastinate_jobs
         where id = %(job_id)s and worker_id = %(worker_id)s and status = 'doing' for update) as own;

-- name: take_back_jobs
select take_back_jobs(own => %(own)s, held => %(held)s, silence => %(silence)s) as jobs;

-- name: wake_workers
select pg_notify('procrastinate_queue_v1#runs', '{"type": "job_inserted", "job_id": 0}');

-- name: queue_due_runs
-- A run that could not act for a reason that has passed is followed by another one, unless one came already. Which of
-- two came later is told by touched_at, the database's clock: processes with clocks of their own queue and end runs.
-- Whoever takes an alert in locks its incident first: those are left to him, so that nobody waits for anybody here.
with due as (
    select r.incident_id, r.runbook_id, r.runbook_sha256, r.mode, r.retry_at
      from runs r
      join incidents i on i.id = r.incident_id
     where r.retry_at <= %(now)s and r.finished_at is not null
       and i.origin = 'live' and i.status = 'open' and not is_over(i)
       and not exists (
           select from runs later where later.incident_id = r.incident_id and later.touched_at > r.touched_at)
     order by r.retry_at
     limit 100
       for no key update of i skip locked),
queued as (
    insert into runs (incident_id, runbook_id, runbook_sha256, mode, queued_at, requested_by)
    select incident_id, runbook_id, runbook_sha256, mode, %(now)s, 'retry' from due
    on conflict do nothing
    returning id)
select count(*) as runs, defer_runs(array_agg(id)) from queued having count(*) > 0;

-- name: queue_lost_runs
-- Live runs that no job stands for: what a command line left when it ended. Its own process may be at work on a long
-- drain, so it is given time; whoever comes later has the fence.
with lost as (
    select r.id
      from runs r
      join incidents i on i.id = r.incident_id
     where r.status in ('queued', 'running') and i.origin = 'live'
       and r.touched_at < clock_timestamp() - %(patience)s::interval
       and not exists (
           select from jobs.procrastinate_jobs j
            where j.status in ('todo', 'doing') and j.args ->> 'run_id' = r.id::text)
     order by r.touched_at
     limit 100
       for update of r skip locked),
touched as (
    update runs r set touched_at = clock_timestamp() from lost where r.id = lost.id returning r.id)
select count(*) as runs, defer_runs(array_agg(id)) from touched having count(*) > 0;

-- name: queue_state
-- Of live runs: those of a replay wait in its own process, and no worker would take them.
select count(*) filter (where r.status = 'queued') as queued,
       count(*) filter (where r.status = 'running') as running,
       min(r.queued_at) filter (where r.status = 'queued') as oldest_queued_at,
       min(r.started_at) filter (where r.status = 'running') as oldest_started_at,
       (select max(received_at) from webhooks) as last_webhook_at
  from runs r join incidents i on i.id = r.incident_id
 where r.status in ('queued', 'running') and i.origin = 'live';
