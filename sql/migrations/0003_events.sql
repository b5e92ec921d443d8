-- Events: what happened in an incident, append-only, each chained to the one before it.
--
-- The chain. `seq` counts from 1 without a gap within an incident. `hash` is the SHA-256 of the UTF-8 text of this
-- JSON array, printed as jsonb prints it (", " and ": " between, keys by length, then by bytes):
--
--     [incident_id, seq, run_id, ts, event_type, payload, prev_hash]
--
-- run_id is a string or null; ts a string in UTC with six digits, "2026-11-23T05:49:00.000000Z"; prev_hash the hash of
-- event seq - 1 as 64 lower-case hexadecimal digits, null for the first event. The newest seq and hash also stand in
-- the incident (last_seq, last_hash). A trigger sets all of it while it holds the incident's row, so that a webhook
-- and a run may append at the same moment; whatever an INSERT gives for these columns is overwritten.

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
    head record;
begin
    select last_seq, last_hash into head from incidents where id = new.incident_id for no key update;
    if not found then
        raise foreign_key_violation using message = format('incident %s does not exist', new.incident_id);
    end if;
    new.seq := head.last_seq + 1;
    new.prev_hash := head.last_hash;
    new.hash := event_hash(
        new.incident_id, new.seq, new.run_id, new.ts, new.event_type, new.payload, new.prev_hash);
    update incidents set last_seq = new.seq, last_hash = new.hash where id = new.incident_id;
    return new;
end
$$;

create trigger chain_event before insert on incident_events
    for each row execute function chain_event();

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise restrict_violation using
        message = format('%s is append-only: %s refused', tg_table_name, tg_op),
        hint = 'What happened stays; append an event that says what is true now.';
end
$$;

create trigger append_only before update or delete or truncate on incident_events
    for each statement execute function refuse_change();
