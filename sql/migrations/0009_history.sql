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
