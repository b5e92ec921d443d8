-- Runs: one row for each execution of a runbook. Actions: one row for each intent to change the cluster.
--
-- `attempt` grows whenever a worker takes the run up: it is the fence. Whoever writes for a run names the attempt
-- that it holds, and writes nothing when the row has another one.
-- `touched_at` is real time even in a replay: it tells a run that somebody works on from one that was left behind.
-- Whoever locks a run and its incident locks the run first.

create table runs (
    id             uuid        primary key default gen_random_uuid(),
    incident_id    bigint      not null references incidents,
    runbook_id     text        not null,
    runbook_sha256 text        not null,
    mode           text        not null check (mode in ('recommend', 'auto')),
    status         text        not null default 'queued'
        check (status in ('queued', 'running', 'waiting_approval', 'succeeded', 'failed', 'escalated', 'cancelled')),
    attempt        integer     not null default 0 check (attempt >= 0),
    retry_at       timestamptz,
    requested_by   text,
    queued_at      timestamptz not null,
    started_at     timestamptz,
    finished_at    timestamptz,
    touched_at     timestamptz not null default clock_timestamp(),
    unique (incident_id, id),
    check ((status in ('succeeded', 'failed', 'escalated', 'cancelled')) = (finished_at is not null))
) with (fillfactor = 80);

-- One active run per incident.
create unique index runs_active on runs (incident_id) where status in ('queued', 'running', 'waiting_approval');
-- What waits for a worker, and what a worker may have left behind.
create index runs_waiting on runs (status, queued_at) where status in ('queued', 'running', 'waiting_approval');

-- Cool-downs, budgets and brakes are questions to this table. `intended` without an outcome: the run was cut off
-- between the commit of the intent and the answer, so whether the write happened has to be looked up.
create table actions (
    id          bigserial   primary key,
    incident_id bigint      not null,
    run_id      uuid        not null,
    attempt     integer     not null,
    scope       text        not null,
    cluster     text        not null,
    tool        text        not null,
    action      text        not null,
    target_key  text        not null,
    value       text,
    body        jsonb       not null,
    near_limit  boolean     not null,
    status      text        not null default 'intended' check (status in ('intended', 'done', 'failed', 'unknown')),
    detail      text,
    intended_at timestamptz not null,
    finished_at timestamptz,
    foreign key (incident_id, run_id) references runs (incident_id, id),
    check ((status = 'intended') = (finished_at is null))
);

create index actions_target on actions (scope, cluster, target_key, intended_at desc, id desc);
create index actions_recent on actions (scope, cluster, intended_at desc, id desc);
create index actions_run on actions (incident_id, run_id);
