-- Events: what happened in an incident, append-only, each chained to the one before it.
--
-- The chain. `seq` counts from 1 without a gap within an incident. `hash` is the SHA-256 of the UTF-8 text of this
-- JSON array, printed as jsonb prints it (", " and ": " between, keys by length, then by bytes):
--
--     [incident_id, seq, run_id, ts, event_type, payload, prev_hash]
--
-- run_id is a string or null; ts a string in UTC with six digits, "2026-11-23T05:49:00.000000Z"; prev_hash the hash of
-- event seq - 1 as 64 lower-case hexadecimal digits, null for the first event. The newest seq and hash also stand in
-- the incident (last_seq, last_hash): the head, which moves once for all events of a statement. Triggers set all of it
-- while they hold the incident's row, so that a webhook and a run may append at the same moment; whatever an INSERT
-- gives for these columns is overwritten.

create table incident_events (
    id          bigserial   primary key,
    incident_id bigint      not null references incidents,
    run_id      uuid,
    seq         bigint      not null,
    ts          timestamptz not null check (isfinite(ts)),
    event_type  text        not null check (event_type in (
        'webhook_received', 'suppressed', 'step', 'intent', 'outcome', 'verified', 'undone', 'approved', 'rejected',
        'escalated', 'resolved', 'final', 'analysis', 'error')),
    payload     jsonb       not null,
    prev_hash   bytea,
    hash        bytea       not null,
    unique (incident_id, seq),
    foreign key (incident_id, run_id) references runs (incident_id, id),
    check ((seq = 1) = (prev_hash is null))
);

-- `suppressed` is written once a run; how often stands in the incident.
create unique index incident_events_suppressed on incident_events (run_id) where event_type = 'suppressed';

create function event_hash(
    incident_id bigint, seq bigint, run_id uuid, ts timestamptz, event_type text, payload jsonb, prev_hash bytea
) returns bytea language sql stable parallel safe as $$
    select sha256(convert_to(jsonb_build_array(
        incident_id,
        seq,
        run_id,
        to_char(ts at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        event_type,
        payload,
        encode(prev_hash, 'hex')
    )::text, 'UTF8'))
$$;

create function chain_event() returns trigger language plpgsql as $$
declare
    before record;  -- the event that this one follows
    nearer record;  -- the same, where this statement appended it: the head has not moved yet
begin
    select last_seq as seq, last_hash as hash into before
      from incidents where id = new.incident_id for no key update;
    if not found then
        raise foreign_key_violation using message = format('incident %s does not exist', new.incident_id);
    end if;
    select e.seq, e.hash into nearer
      from incident_events e
     where e.incident_id = new.incident_id and e.seq > before.seq
     order by e.seq desc limit 1;
    if found then
        before := nearer;
    end if;
    new.seq := before.seq + 1;
    new.prev_hash := before.hash;
    new.hash := event_hash(
        new.incident_id, new.seq, new.run_id, new.ts, new.event_type, new.payload, new.prev_hash);
    return new;
end
$$;

create trigger chain_event before insert on incident_events
    for each row execute function chain_event();

create function move_head() returns trigger language plpgsql as $$
begin
    update incidents i
       set last_seq = newest.seq, last_hash = newest.hash
      from (select distinct on (incident_id) incident_id, seq, hash
              from appended
             order by incident_id, seq desc) newest
     where i.id = newest.incident_id;
    return null;
end
$$;

create trigger move_head after insert on incident_events referencing new table as appended
    for each statement execute function move_head();

-- `events` is a JSON array of {type, payload}, appended in its order. The event `intent` names `action`, an id that
-- only the database knows.
create function append_events(incident bigint, run uuid, moment timestamptz, events jsonb, action bigint default null)
returns void language plpgsql as $$
begin
    insert into incident_events (incident_id, run_id, ts, event_type, payload)
    select incident, run, moment, event.type,
           case event.type
               when 'intent' then jsonb_set(event.payload, '{action_id}', to_jsonb(action))
               else event.payload
           end
      from rows from (jsonb_to_recordset(events) as (type text, payload jsonb))
               with ordinality as event (type, payload, place)
     order by event.place;
end
$$;

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise restrict_violation using
        message = format('%s is append-only: %s refused', tg_table_name, tg_op),
        hint = 'What happened stays; append an event that says what is true now.';
end
$$;

create trigger append_only before update or delete or truncate on incident_events
    for each statement execute function refuse_change();
