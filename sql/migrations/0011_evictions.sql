-- Evictions: one row for each pod that a drain is about to evict, committed with the drain's intent before the first
-- is sent. A drain is one action for cool-downs and brakes; what became of each pod stands here. `intended` without an
-- end: the run was cut off, and whether the pod went has to be looked up by its uid.

create table evictions (
    action_id  bigint      not null references actions on delete cascade,
    place      integer     not null check (place > 0),
    namespace  text        not null,
    pod        text        not null,
    uid        text,
    status     text        not null default 'intended' check (status in ('intended', 'done', 'failed', 'unknown')),
    detail     text,
    decided_at timestamptz,
    primary key (action_id, place),
    check ((status = 'intended') = (decided_at is null))
);
