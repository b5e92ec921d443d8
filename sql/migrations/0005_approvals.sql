-- Approvals: a recorded proposal that waits for a person's yes or no.
--
-- `proposal` is the change exactly as it would be sent (writes, undo, diff); a yes names `proposal_sha256`, so that
-- what is executed is what was read. pending -> approved | rejected | expired, all final. `action_id` is the intent
-- that carried an approved proposal out; approved without one: facts or guards said no when they were asked again.

create table approvals (
    id              bigserial   primary key,
    incident_id     bigint      not null,
    run_id          uuid        not null,
    step            text        not null,
    tool            text        not null,
    action          text        not null,
    target_key      text        not null,
    value           text,
    proposal        jsonb       not null,
    proposal_sha256 bytea       not null check (octet_length(proposal_sha256) = 32),
    state           text        not null default 'pending'
        check (state in ('pending', 'approved', 'rejected', 'expired')),
    requested_at    timestamptz not null,
    expires_at      timestamptz not null check (expires_at > requested_at),
    decided_at      timestamptz,
    decided_by      text,
    reason          text,
    action_id       bigint      unique references actions,
    foreign key (incident_id, run_id) references runs (incident_id, id),
    check ((state = 'pending') = (decided_at is null)),
    check (state not in ('approved', 'rejected') or decided_by is not null),
    check (action_id is null or state = 'approved')
);

-- A run waits for one answer at a time.
create unique index approvals_pending on approvals (run_id) where state = 'pending';
create index approvals_expiring on approvals (expires_at) where state = 'pending';
create index approvals_run on approvals (incident_id, run_id);
