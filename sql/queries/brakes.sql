-- Brakes and pauses: what guards judge by, what is asked once more before a request leaves, what a person says.
-- `limits` are a `brake_limits` (0013).

-- name: brake_state
with limits as (
    select (jsonb_populate_record(null::brake_limits, %(limits)s::jsonb)).*)
select coalesce((
           select jsonb_agg(to_jsonb(p) order by p.id)
             from standing_pauses(%(now)s) p
            where %(scope)s = 'live'), '[]') as pauses,
       coalesce((
           select jsonb_agg(jsonb_build_object(
                      'run_id', a.run_id, 'tool', a.tool, 'target_key', a.target_key, 'status', a.status,
                      'intended_at', a.intended_at, 'finished_at', a.finished_at) order by a.intended_at desc, a.id desc)
             from actions a
            where a.scope = %(scope)s and a.cluster = %(cluster)s and a.status <> 'failed'
              and a.intended_at > %(now)s - greatest(
                  l.writes_window, l.open_for, l.drain_pause + l.open_for)), '[]') as writes,
       case when %(scope)s = 'live' then
           storm_end(%(cluster)s, jsonb_populate_record(null::brake_limits, %(limits)s::jsonb), %(now)s)
       end as storm_until,
       coalesce(t.requests, 0) as requests,
       coalesce(t.errors, 0) as errors
  from limits l,
       (select sum(requests)::integer as requests, sum(errors)::integer as errors
          from api_traffic
         where %(scope)s = 'live' and cluster = %(cluster)s and at > %(now)s - %(traffic_window)s) t;

-- name: report_traffic
with forgotten as (
    delete from api_traffic where at < %(now)s - interval '1 hour' and source <> %(source)s)
insert into api_traffic as t (source, cluster, requests, errors, at)
values (%(source)s, %(cluster)s, %(requests)s, %(errors)s, %(now)s)
on conflict (source) do update
   set cluster = excluded.cluster, requests = excluded.requests, errors = excluded.errors, at = excluded.at
returning t.at;

-- name: may_send
-- One row always: whether the run is still held by this attempt and its intent young enough, whether what it is about is
-- over, and the pause that lasts longest, if any.
select coalesce((
           select true
             from runs r
            where r.id = %(run_id)s and r.attempt = %(attempt)s and r.status = 'running'), false) as held,
       coalesce((
           select a.intended_at > %(now)s - %(within)s
             from actions a
            where a.id = %(action_id)s and a.run_id = %(run_id)s and a.status = 'intended'), false) as current,
       coalesce((
           select i.status <> 'open' or is_over(i)
             from runs r join incidents i on i.id = r.incident_id
            where r.id = %(run_id)s and i.origin = 'live'), false) as over,
       p.id as pause_id, p.until
  from (values (1)) as always
       left join lateral (
           select s.id, s.until
             from standing_pauses(%(now)s) s
            where %(scope)s = 'live'
            order by s.until desc nulls first limit 1) p on true;

-- name: tell_brake
-- Whether this run is the one that tells a person of the brake: the first that met it since it was calm.
insert into brake_episodes as e (scope, cluster, rule, run_id, incident_id, began_at, seen_at)
values (%(scope)s, %(cluster)s, %(rule)s, %(run_id)s, %(incident_id)s, %(now)s, %(now)s)
on conflict (scope, cluster, rule) do update
   set run_id = case when e.seen_at < %(now)s - %(calm)s then excluded.run_id else e.run_id end,
       incident_id = case when e.seen_at < %(now)s - %(calm)s then excluded.incident_id else e.incident_id end,
       began_at = case when e.seen_at < %(now)s - %(calm)s then excluded.began_at else e.began_at end,
       seen_at = greatest(e.seen_at, excluded.seen_at)
returning e.run_id = %(run_id)s as tells, e.incident_id;

-- name: pause
insert into pauses (since, until, paused_by, reason)
values (%(now)s, %(until)s, %(by)s, %(reason)s)
returning id, since, until, paused_by, reason;

-- name: resume
with ended as (
    update pauses
       set resumed_at = %(now)s, resumed_by = %(by)s
     where id in (select id from standing_pauses(%(now)s))
    returning id, since, until, paused_by, reason),
due as (
    update runs r
       set retry_at = %(now)s
     where r.retry_at > %(now)s and r.finished_at is not null
       and exists (select from ended)
       and exists (
           select from incident_events e
            where e.incident_id = r.incident_id and e.run_id = r.id and e.event_type = 'step'
              and e.payload @> '{"judgements": [{"rule": "pause"}]}'))
select id, since, until, paused_by, reason from ended order by id;

-- name: brake_episodes
select rule, incident_id, began_at, seen_at
  from brake_episodes
 where scope = 'live' and cluster = %(cluster)s
 order by rule;

-- name: work_under_way
select count(*) filter (where r.status = 'queued') as queued,
       min(r.queued_at) filter (where r.status = 'queued') as oldest_queued_at,
       count(*) filter (where r.status = 'running') as running,
       min(r.started_at) filter (where r.status = 'running') as oldest_started_at
  from runs r join incidents i on i.id = r.incident_id
 where r.status in ('queued', 'running') and i.origin = 'live';

-- name: last_alert_at
select e.ts as received_at
  from incident_events e join incidents i on i.id = e.incident_id
 where e.event_type = 'webhook_received' and i.origin = 'live'
 order by e.id desc limit 1;
