-- History: what a run saw around its target, so that later incidents can be compared with it.
--
-- `template_changed_at`: when somebody other than this agent last changed the workload's pod template, as the run saw
-- it. `found_value`: what stood in the field that the run's remediation would set, before it did anything;
-- `found_field` is the beginning of the action string that sets it (`patch_memory_limit:demo/app/app`), `found_at`
-- when it was read. All of them are null where the run did not look.

alter table incidents
    add column template_changed_at timestamptz,
    add column found_field text,
    add column found_value text,
    add column found_at timestamptz,
    add constraint incidents_found check (
        num_nulls(found_field, found_value, found_at) in (0, 3));

-- What the facts ask of each of thousands of incidents: whether there is any action, so that only these are looked for
-- in `actions`; and whether something was recommended and nothing done.

alter table incidents
    add column acted boolean not null default false,
    add column only_recommended boolean
        generated always as (action_recommended is not null and action_taken is null) stored;

update incidents i set acted = true where exists (select from actions a where a.incident_id = i.id);

create function note_action() returns trigger language plpgsql as $$
begin
    update incidents set acted = true where id = new.incident_id and not acted;
    return null;
end
$$;

create trigger note_action after insert on actions for each row execute function note_action();

-- The incidents on one subject, with all that the facts ask of them, because the rows of a busy subject lie all over
-- the table. By cluster first: one database may serve several, and the smallest must not pay for the largest.

drop index incidents_alertname, incidents_pod, incidents_workload, incidents_node;

create index incidents_alertname on incidents (origin, cluster, alertname, created_at desc, id desc);
create index incidents_node on incidents (origin, cluster, node, created_at desc, id desc) where node is not null;
create index incidents_on_workload on incidents (origin, cluster, namespace, workload, created_at desc, id desc)
    include (alertname, starts_at, resolved_at, node, acted, only_recommended, template_changed_at, found_field,
             found_value, found_at)
    where workload is not null;
create index incidents_on_pod on incidents (origin, cluster, namespace, pod, created_at desc, id desc)
    include (workload, alertname, starts_at, resolved_at, node, acted, only_recommended, template_changed_at,
             found_field, found_value, found_at)
    where pod is not null;
create index incidents_on_node on incidents (origin, cluster, node, created_at desc, id desc)
    include (alertname, starts_at, resolved_at, acted, only_recommended, template_changed_at, found_field,
             found_value, found_at)
    where pod is null and workload is null and node is not null;
create index incidents_on_key on incidents (origin, cluster, dedup_key, created_at desc, id desc)
    include (alertname, starts_at, resolved_at, node, acted, only_recommended, template_changed_at, found_field,
             found_value, found_at)
    where pod is null and workload is null and node is null;

create index actions_history on actions (incident_id) include (id, scope, status, tool, action, value, intended_at)
    where status in ('done', 'unknown');

-- The event that opened an incident, the one that ended its last run, and the one that says what became of an action:
-- reports name them.
create function opening_event(incident bigint) returns bigint language sql stable parallel safe as $$
    select id from incident_events where incident_id = incident and seq = 1
$$;

create function final_event(incident bigint) returns bigint language sql stable parallel safe as $$
    select id from incident_events where incident_id = incident and event_type = 'final' order by seq desc limit 1
$$;

create function outcome_event(incident bigint, action bigint) returns bigint language sql stable parallel safe as $$
    select id from incident_events
     where incident_id = incident and event_type = 'outcome' and payload -> 'action_id' = to_jsonb(action)
     order by seq limit 1
$$;
