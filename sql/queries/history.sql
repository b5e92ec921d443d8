-- Questions about the past of one incident. `origin` and `cluster` are the incident's: a replay never counts for a
-- live one. Its subject is its workload or pod; the node for an incident about a node; else its dedup_key.

-- name: similar
-- Four short reads of an index each, instead of one OR that reads them all.
with candidate as (
    (select id, created_at from incidents
      where origin = %(origin)s and alertname = %(alertname)s and cluster = %(cluster)s and id <> %(incident_id)s
      order by created_at desc, id desc limit %(limit)s)
    union
    (select id, created_at from incidents
      where origin = %(origin)s and namespace = %(namespace)s and pod = %(pod)s and cluster = %(cluster)s
        and id <> %(incident_id)s
      order by created_at desc, id desc limit %(limit)s)
    union
    (select id, created_at from incidents
      where origin = %(origin)s and namespace = %(namespace)s and workload = %(workload)s and cluster = %(cluster)s
        and id <> %(incident_id)s
      order by created_at desc, id desc limit %(limit)s)
    union
    (select id, created_at from incidents
      where origin = %(origin)s and node = %(node)s and cluster = %(cluster)s and id <> %(incident_id)s
      order by created_at desc, id desc limit %(limit)s)
),
newest as (
    select id from candidate order by created_at desc, id desc limit %(limit)s)
select i.id, i.alertname, i.namespace, i.pod, i.node, i.workload, i.severity, i.status, i.runbook_id, i.action_taken,
       i.action_recommended, i.action_error, i.created_at
  from newest join incidents i using (id)
 order by i.created_at desc, i.id desc;

-- name: pattern_facts
-- `occurrence` holds every incident on the subject, `matched` those with the same alert name, `acted` what the agent
-- did in them, or may have done. A recorded occurrence that was replayed several times counts once, its own replay
-- first. One history are live incidents, or the numbered parts of one replay: what one replay did is not there in
-- the recording of another, so nothing follows from that.
--
-- A subject may have thousands of incidents. So each of these is read once, from an index that has all that is asked
-- (0009), and counted in one pass. `place` numbers matches and actions by time, from 1 on: `ids[place]` is the
-- incident, and `width_bucket(moment, times)` says how many of the times are not after the moment.
with seen as not materialized (  -- each incident in one branch
    select id, alertname, created_at, starts_at, resolved_at, node, acted, only_recommended, template_changed_at,
           found_field, found_value, found_at
      from incidents
     where id = %(incident_id)s
    union all
    select id, alertname, created_at, starts_at, resolved_at, node, acted, only_recommended, template_changed_at,
           found_field, found_value, found_at
      from incidents
     where origin = %(origin)s and cluster = %(cluster)s and namespace = %(namespace)s and workload = %(workload)s
       and created_at <= %(as_of)s and id <> %(incident_id)s
    union all
    select id, alertname, created_at, starts_at, resolved_at, node, acted, only_recommended, template_changed_at,
           found_field, found_value, found_at
      from incidents
     where origin = %(origin)s and cluster = %(cluster)s and namespace = %(namespace)s and pod = %(pod)s
       and created_at <= %(as_of)s and id <> %(incident_id)s and (workload = %(workload)s) is not true
    union all
    select id, alertname, created_at, starts_at, resolved_at, node, acted, only_recommended, template_changed_at,
           found_field, found_value, found_at
      from incidents
     where origin = %(origin)s and cluster = %(cluster)s and node = %(node_subject)s and pod is null
       and workload is null and created_at <= %(as_of)s and id <> %(incident_id)s
    union all
    select id, alertname, created_at, starts_at, resolved_at, node, acted, only_recommended, template_changed_at,
           found_field, found_value, found_at
      from incidents
     where origin = %(origin)s and cluster = %(cluster)s and dedup_key = %(key_subject)s and pod is null
       and workload is null and node is null and created_at <= %(as_of)s and id <> %(incident_id)s
),
occurrence as materialized (
    select seen.*, true as one_history from seen where %(origin)s = 'live'
    union all
    (select distinct on (i.dedup_key, coalesce(i.starts_at, i.created_at)) seen.*, i.scope = %(scope)s
       from seen join incidents i using (id)
      where %(origin)s <> 'live'
      order by i.dedup_key, coalesce(i.starts_at, i.created_at),
               id = %(incident_id)s desc, i.scope = %(scope)s desc, id desc)
),
-- An occurrence is `anew` where all before it had ended: several pods of a workload at once are one trouble.
matched as materialized (
    select o.*, row_number() over (order by o.created_at, o.id) as place,
           coalesce(o.created_at >= max(coalesce(o.resolved_at, 'infinity')) over earlier, true) as anew
      from occurrence o
     where o.alertname = %(alertname)s
    window earlier as (order by o.created_at, o.id rows between unbounded preceding and 1 preceding)
),
total as materialized (
    select count(*) as matches, count(node) as with_node, count(template_changed_at) as with_template,
           count(*) filter (where is_recent) as recent, min(created_at) filter (where is_recent) as recent_at,
           min(place) filter (where is_recent) as recent_place,
           count(*) filter (where only_recommended) as recommended,
           min(created_at) filter (where only_recommended) as recommended_at,
           min(place) filter (where only_recommended) as recommended_place,
           min(created_at) as first_at, max(created_at) as last_at, array_agg(id order by place) as ids
      from (select *, anew and created_at between %(at)s - %(flapping_window)s::interval and %(at)s as is_recent
              from matched) as m
),
-- Each hour of each day that has a match; whether the hour before, or the same day, has one too.
hour_of_day as materialized (
    select extract(hour from start)::integer as hour, extract(isodow from start)::integer as weekday,
           times, newest, lag(start) over (order by start) = start - interval '1 hour' as follows,
           date_bin('1 day', lag(start) over (order by start), 'epoch') = date_bin('1 day', start, 'epoch') as same_day
      from (select date_bin('1 hour', created_at, 'epoch') as start, count(*) as times, max(place) as newest
              from matched group by 1) as an_hour
),
hourly as materialized (
    select hour, sum(times)::bigint as times, count(*) as days, count(*) filter (where follows) as following,
           max(newest) as newest
      from hour_of_day group by hour
),
acted as materialized (
    select id, incident_id, tool, action, value, intended_at, status = 'done' as done,
           %(origin)s = 'live' or scope = %(scope)s as one_history,
           incident_id in (select id from matched) as on_match, row_number() over (order by intended_at, id) as place
      from actions
     where incident_id = any (array(select id from occurrence where acted)) and status in ('done', 'unknown')
       and intended_at <= %(as_of)s
),
acted_at as materialized (
    select array_agg(intended_at order by place) as times from acted
),
deployed as materialized (
    select id, created_at, template_changed_at
      from matched, acted_at
     where template_changed_at between created_at - %(deploy_window)s::interval and created_at
       and (times[width_bucket(template_changed_at + interval '1 minute', times)]
            >= template_changed_at - interval '5 minutes') is not true
),
-- What was set in each field that was looked at, and when; and the newest of it before each look.
set_to as materialized (
    select f.field, array_agg(a.intended_at order by a.place) as times, array_agg(a.place order by a.place) as places
      from (select distinct found_field as field from occurrence where found_field is not null) as f
      join acted a on starts_with(a.action, f.field || ':')
     where a.one_history
     group by f.field
),
looked as materialized (
    select o.id as found_in, o.found_field, o.found_value, o.found_at,
           s.places[width_bucket(o.found_at - interval '1 microsecond', s.times)] as place
      from occurrence o join set_to s on s.field = o.found_field
     where o.one_history
),
-- Undone is an action whose field holds again what it held before. The action string of a raise says what that was;
-- of another action, what its own incident found.
undone as materialized (
    select place, found_in, found_value, found_at
      from (select place, found_in, found_field, found_value, found_at, first_value(action) over its_own as action,
                   first_value(set_value) over its_own as set_value, first_value(incident_id) over its_own as acted_in
              from (select place, null::bigint as found_in, null as found_field, null as found_value,
                           null::timestamptz as found_at, incident_id, action,
                           case when done then value end as set_value
                      from acted
                    union all
                    select place, found_in, found_field, found_value, found_at, null, null, null
                      from looked where place is not null) as both_of
            window its_own as (partition by place order by found_in nulls first)) as l
     where found_in is not null and set_value <> found_value
       and found_value = case when position('→' in action) > 0
                              then split_part(substr(action, length(found_field) + 2), '→', 1)
                              else (select own.found_value
                                      from incidents own
                                     where own.id = l.acted_in and own.id <> l.found_in
                                       and own.found_field = l.found_field) end
),
-- When the alert came anew after each action. One that had begun before the action, and was only told of later, did
-- not come after it: `next_at` is the first that was told of of all that began at a time or later.
came_anew as materialized (
    select array_agg(began_at order by began_at) as times, array_agg(next_at order by began_at) as nexts
      from (select began_at, min(created_at) over (order by began_at desc) as next_at
              from (select least(created_at, starts_at) as began_at, created_at
                      from matched where anew and one_history) as m) as later
),
followed as materialized (
    select tool, place, intended_at, nexts[coalesce(width_bucket(intended_at, times), 0) + 1] as next_at
      from acted, came_anew
     where done and one_history and on_match
),
tried as materialized (
    select tool, count(*) as times,
           count(*) filter (where next_at <= intended_at + %(recurrence_window)s::interval) as recurred,
           min(intended_at) as first_at, max(intended_at) as last_at, min(place) as oldest, max(place) as newest
      from followed
     where next_at is not null or %(as_of)s - intended_at > %(recurrence_window)s::interval
     group by tool
),
neighbour as materialized (
    select distinct on (i.namespace, i.workload) i.namespace, i.workload, i.id, i.created_at
      from incidents i
     where i.origin = %(origin)s and i.node = %(node)s and i.cluster = %(cluster)s and i.workload is not null
       and (i.origin = 'live' or i.scope = %(scope)s)
       and i.created_at between %(at)s - %(neighbour_window)s::interval
                            and least(%(at)s + %(neighbour_window)s::interval, greatest(%(as_of)s, %(at)s))
     order by i.namespace, i.workload, i.id = %(incident_id)s desc, i.created_at desc, i.id desc
)
select (select matches from total) as occurrences,
       (select to_jsonb(entry) from (
           select ids[1] as incident_id, first_at as at, opening_event(ids[1]) as event_id
             from total) as entry) as first,
       (select to_jsonb(entry) from (
           select ids[matches] as incident_id, last_at as at, opening_event(ids[matches]) as event_id
             from total) as entry) as last,
       (select to_jsonb(entry) from (
           select recent as times, recent_at as first_at, opening_event(ids[recent_place]) as event_id
             from total) as entry) as recent,
       (select to_jsonb(entry) from (
           select node, times, anew, with_node as known, opening_event(ids[oldest]) as first_event_id,
                  opening_event(ids[newest]) as last_event_id
             from total,
                  (select node, count(*) as times, count(*) filter (where anew) as anew, min(place) as oldest,
                          max(place) as newest
                     from matched where node is not null
                    group by node order by count(*) desc, max(created_at) desc, node limit 1) as busiest
           ) as entry) as node,
       (select to_jsonb(entry) from (
           select hour, times, days, opening_event(ids[newest]) as event_id
             from total,
                  (select h.hour, h.times + coalesce(n.times, 0) as times,
                          h.days + coalesce(n.days - n.following, 0) as days, greatest(h.newest, n.newest) as newest
                     from hourly h left join hourly n on n.hour = (h.hour + 1) %% 24
                    order by 2 desc, h.times desc, h.hour limit 1) as busiest) as entry) as hours,
       (select to_jsonb(entry) from (
           select weekday, times, weeks, opening_event(ids[newest]) as event_id
             from total,
                  (select weekday, sum(times)::bigint as times, count(*) filter (where same_day is not true) as weeks,
                          max(newest) as newest
                     from hour_of_day
                    group by weekday order by 2 desc, weekday limit 1) as busiest) as entry) as weekday,
       (select coalesce(jsonb_agg(to_jsonb(entry) order by entry.at, entry.action_id), '[]') from (
           select id as action_id, incident_id, tool, action, value, intended_at as at,
                  outcome_event(incident_id, id) as event_id
             from acted where done and tool = 'increase_memory_limit'
            order by intended_at desc, id desc limit 12) as entry) as raises,
       (select coalesce(jsonb_agg(to_jsonb(entry) order by entry.at, entry.id), '[]') from (
           select id, found_field as field, found_value as value, found_at as at, final_event(id) as event_id
             from matched where starts_with(found_field, 'patch_memory_limit:')
            order by found_at desc, id desc limit 12) as entry) as limits,
       (select coalesce(jsonb_agg(to_jsonb(entry) order by entry.tool), '[]') from (
           select t.tool, times, recurred, first_at, last_at, outcome_event(f.incident_id, f.id) as first_event_id,
                  outcome_event(l.incident_id, l.id) as last_event_id
             from tried t join acted f on f.place = t.oldest join acted l on l.place = t.newest) as entry) as tried,
       (select to_jsonb(entry) from (
           select times, action, value, intended_at as at, outcome_event(incident_id, id) as event_id, found_value,
                  found_at, final_event(found_in) as found_event_id
             from (select count(*) over () as times, undone.*
                     from undone order by found_at desc, found_in desc limit 1) as newest
             join acted using (place)) as entry) as undone,
       (select to_jsonb(entry) from (
           select (select with_template from total) as known, count(*) as times,
                  count(distinct template_changed_at) as changes,
                  coalesce((select jsonb_agg(to_jsonb(newest) order by newest.at desc) from (
                      select created_at as at, template_changed_at as changed_at, final_event(id) as event_id
                        from deployed order by created_at desc, id desc limit 3) as newest), '[]') as newest
             from deployed) as entry) as deploys,
       (select to_jsonb(entry) from (
           select recommended as times, recommended_at as first_at, final_event(ids[recommended_place]) as event_id
             from total) as entry) as recommended,
       (select to_jsonb(entry) from (
           select (select count(*) from neighbour) as workloads,
                  coalesce((select jsonb_agg(to_jsonb(newest) order by newest.own desc, newest.at desc) from (
                      select namespace, workload, created_at as at, opening_event(id) as event_id,
                             id = %(incident_id)s as own
                        from neighbour order by id = %(incident_id)s desc, created_at desc, id desc limit 5
                      ) as newest), '[]') as newest) as entry) as neighbours,
       (select to_jsonb(entry) from (
           select incidents, first_at,
                  (select created_at from incidents
                    where origin = %(origin)s and alertname = %(alertname)s and cluster = %(cluster)s
                    order by created_at limit 1) as oldest_kept
             from alert_counts
            where origin = %(origin)s and origin = 'live' and alertname = %(alertname)s and cluster = %(cluster)s
           ) as entry) as alert_total,
       (select template_changed_at from incidents where id = %(incident_id)s) as template_changed_at;

-- name: note_surroundings
update incidents
   set node = coalesce(%(node)s, node),
       template_changed_at = coalesce(%(template_changed_at)s, template_changed_at),
       found_field = case when %(found_field)s::text is null then found_field else %(found_field)s end,
       found_value = case when %(found_field)s::text is null then found_value else %(found_value)s end,
       found_at = case when %(found_field)s::text is null then found_at else %(found_at)s end
 where id = %(incident_id)s
returning id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node, workload,
          severity, runbook_id, status, agent_mode, summary, action_taken, action_recommended, action_error, labels,
          annotations, suppressed_count, starts_at, created_at, updated_at, resolved_at;

-- name: append_analysis
insert into incident_events (incident_id, run_id, ts, event_type, payload)
values (%(incident_id)s, %(run_id)s, %(now)s, 'analysis', %(payload)s)
returning id;

-- name: analyses
select id, seq, ts, event_type, payload, encode(prev_hash, 'hex') as prev_hash, encode(hash, 'hex') as hash, run_id
  from incident_events
 where incident_id = %(incident_id)s and event_type = 'analysis'
 order by seq desc;

-- name: run_under_way
select id, status from runs
 where incident_id = %(incident_id)s and status in ('queued', 'running');

-- name: looks_again_at
-- As `queue_due_runs` finds it: when another run follows the newest one.
select r.retry_at
  from runs r join incidents i on i.id = r.incident_id
 where r.incident_id = %(incident_id)s and i.origin = 'live' and i.status = 'open' and not is_over(i)
 order by r.touched_at desc
 limit 1;

-- name: incidents_since
select id from incidents where updated_at >= %(since)s order by id;
