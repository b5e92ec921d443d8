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
-- did in them. A recorded occurrence that was replayed several times counts once, its own replay first.
with on_subject as (
    select id from incidents where id = %(incident_id)s
    union
    select id from incidents
     where origin = %(origin)s and namespace = %(namespace)s and workload = %(workload)s and cluster = %(cluster)s
    union
    select id from incidents
     where origin = %(origin)s and namespace = %(namespace)s and pod = %(pod)s and cluster = %(cluster)s
    union
    select id from incidents
     where origin = %(origin)s and node = %(node_subject)s and cluster = %(cluster)s
       and pod is null and workload is null
    union
    select id from incidents
     where origin = %(origin)s and cluster = %(cluster)s and dedup_key = %(key_subject)s
),
occurrence as materialized (
    select distinct on (case i.origin
                            when 'live' then i.id::text
                            else concat_ws(' ', i.dedup_key, coalesce(i.starts_at, i.created_at)) end)
           i.id, i.alertname, i.created_at, i.node, i.action_taken, i.action_recommended, i.template_changed_at,
           i.found_field, i.found_value, i.found_at
      from on_subject join incidents i using (id)
     where i.created_at <= %(as_of)s or i.id = %(incident_id)s
     order by case i.origin
                  when 'live' then i.id::text
                  else concat_ws(' ', i.dedup_key, coalesce(i.starts_at, i.created_at)) end,
              i.id = %(incident_id)s desc, i.scope = %(scope)s desc, i.id desc
),
matched as materialized (
    select o.*, lead(o.created_at) over (order by o.created_at, o.id) as next_at
      from occurrence o
     where o.alertname = %(alertname)s
),
acted as materialized (
    select a.id, a.incident_id, a.tool, a.action, a.value, a.intended_at
      from occurrence o join actions a on a.incident_id = o.id
     where a.status = 'done' and a.intended_at <= %(as_of)s
),
deployed as materialized (
    select m.id, m.created_at, m.template_changed_at
      from matched m
     where m.template_changed_at between m.created_at - %(deploy_window)s::interval and m.created_at
       and not exists (
           select from acted a
            where m.template_changed_at between a.intended_at - interval '1 minute'
                                            and a.intended_at + interval '5 minutes')
),
ranked as materialized (
    select acted.*, row_number() over (order by intended_at, id) as place from acted
),
-- The newest action before each look at its field, in one pass over both in the order of time.
looked as (
    select found_in, max(place) over (partition by field order by at, found_in is null rows unbounded preceding) as place
      from (select f.field, r.intended_at as at, r.place, null::bigint as found_in
              from (select distinct found_field as field from occurrence where found_field is not null) as f
              join ranked r on starts_with(r.action, f.field || ':')
            union all
            select found_field, found_at, null, id from occurrence where found_field is not null) as dated
),
undone as materialized (
    select l.found_in, o.found_value, o.found_at, r.*
      from looked l
      join occurrence o on o.id = l.found_in
      join ranked r using (place)
     where r.value <> o.found_value
),
tried as materialized (
    select a.*, coalesce(m.next_at <= a.intended_at + %(recurrence_window)s::interval, false) as recurred
      from matched m join acted a on a.incident_id = m.id
     where m.next_at is not null or %(as_of)s - a.intended_at > %(recurrence_window)s::interval
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
select (select count(*) from matched) as occurrences,
       (select to_jsonb(entry) from (
           select id as incident_id, created_at as at, opening_event(id) as event_id
             from matched order by created_at, id limit 1) as entry) as first,
       (select to_jsonb(entry) from (
           select id as incident_id, created_at as at, opening_event(id) as event_id
             from matched order by created_at desc, id desc limit 1) as entry) as last,
       (select to_jsonb(entry) from (
           select count(*) as times, min(created_at) as first_at,
                  opening_event((array_agg(id order by created_at, id))[1]) as event_id
             from matched
            where created_at between %(at)s - %(flapping_window)s::interval and %(at)s) as entry) as recent,
       (select to_jsonb(entry) from (
           select node, count(*) as times, (select count(node) from matched) as known,
                  opening_event((array_agg(id order by created_at, id))[1]) as first_event_id,
                  opening_event((array_agg(id order by created_at desc, id desc))[1]) as last_event_id
             from matched where node is not null
            group by node order by count(*) desc, max(created_at) desc, node limit 1) as entry) as node,
       (select to_jsonb(entry) from (
           select hour, count(*) as times,
                  count(distinct (m.created_at - make_interval(hours => hour))::date) as days,
                  opening_event((array_agg(m.id order by m.created_at desc, m.id desc))[1]) as event_id
             from generate_series(0, 23) as hour
             join matched m on extract(hour from m.created_at)::integer in (hour, (hour + 1) %% 24)
            group by hour
            order by count(*) desc, count(*) filter (where extract(hour from m.created_at)::integer = hour) desc, hour
            limit 1) as entry) as hours,
       (select to_jsonb(entry) from (
           select extract(isodow from created_at)::integer as weekday, count(*) as times,
                  count(distinct date_trunc('week', created_at)) as weeks,
                  opening_event((array_agg(id order by created_at desc, id desc))[1]) as event_id
             from matched group by 1 order by 2 desc, 1 limit 1) as entry) as weekday,
       (select coalesce(jsonb_agg(to_jsonb(entry) order by entry.at, entry.action_id), '[]') from (
           select id as action_id, incident_id, tool, action, value, intended_at as at,
                  outcome_event(incident_id, id) as event_id
             from acted where tool = 'increase_memory_limit'
            order by intended_at desc, id desc limit 12) as entry) as raises,
       (select coalesce(jsonb_agg(to_jsonb(entry) order by entry.at, entry.id), '[]') from (
           select id, found_value as value, found_at as at, final_event(id) as event_id
             from matched where starts_with(found_field, 'patch_memory_limit:')
            order by found_at desc, id desc limit 12) as entry) as limits,
       (select coalesce(jsonb_agg(to_jsonb(entry) order by entry.tool), '[]') from (
           select tool, count(*) as times, count(*) filter (where recurred) as recurred,
                  min(intended_at) as first_at, max(intended_at) as last_at,
                  outcome_event((array_agg(incident_id order by intended_at, id))[1],
                                (array_agg(id order by intended_at, id))[1]) as first_event_id,
                  outcome_event((array_agg(incident_id order by intended_at desc, id desc))[1],
                                (array_agg(id order by intended_at desc, id desc))[1]) as last_event_id
             from tried group by tool) as entry) as tried,
       (select to_jsonb(entry) from (
           select count(*) over () as times, action, value, intended_at as at,
                  outcome_event(incident_id, id) as event_id, found_value, found_at, final_event(found_in) as found_event_id
             from undone order by found_at desc, found_in desc limit 1) as entry) as undone,
       (select to_jsonb(entry) from (
           select (select count(template_changed_at) from matched) as known, count(*) as times,
                  coalesce((select jsonb_agg(to_jsonb(newest) order by newest.at desc) from (
                      select created_at as at, template_changed_at as changed_at, final_event(id) as event_id
                        from deployed order by created_at desc, id desc limit 3) as newest), '[]') as newest
             from deployed) as entry) as deploys,
       (select to_jsonb(entry) from (
           select count(*) as times, min(created_at) as first_at,
                  final_event((array_agg(id order by created_at, id))[1]) as event_id
             from matched where action_recommended is not null and action_taken is null) as entry) as recommended,
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
       (select template_changed_at from occurrence where id = %(incident_id)s) as template_changed_at;

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

-- name: incidents_since
select id from incidents where updated_at >= %(since)s order by id;
