-- Evidence: what a run read, knew and decided, kept so that the incident can be replayed.
--
-- `record` holds the alert, clock, mode, settings, the questions that were asked and the decision; what was answered
-- stands in objects, each stored once whoever read it. `place` counts the objects of one record from 0, in the order
-- of reading. Everything has passed redaction. A run that was taken up again may leave more than one record: the
-- newest counts. Evidence goes with its run; sweep_evidence() removes the objects that nobody refers to any more.

create table evidence (
    id          bigserial   primary key,
    incident_id bigint      not null,
    run_id      uuid        not null,
    kept_at     timestamptz not null,
    record      jsonb       not null,
    bytes       bigint      not null check (bytes >= 0),
    missing     text,
    foreign key (incident_id, run_id) references runs (incident_id, id) on delete cascade
);

create index evidence_incident on evidence (incident_id, run_id, id);

-- `body` is zlib over canonical JSON, `sha256` that of the JSON.
create table evidence_objects (
    sha256 bytea primary key check (octet_length(sha256) = 32),
    body   bytea not null
);

alter table evidence_objects alter column body set storage external;  -- it is compressed already

create table evidence_parts (
    evidence_id bigint  not null references evidence on delete cascade,
    place       integer not null check (place >= 0),
    sha256      bytea   not null references evidence_objects,
    primary key (evidence_id, place)
);

create index evidence_parts_object on evidence_parts (sha256);

create function sweep_evidence() returns bigint language plpgsql as $$
declare
    removed bigint;
begin
    -- Whoever is keeping evidence is waited for, so that no object goes that somebody is about to refer to.
    lock table evidence_objects in share row exclusive mode;
    delete from evidence_objects o where not exists (select from evidence_parts p where p.sha256 = o.sha256);
    get diagnostics removed = row_count;
    return removed;
end
$$;
