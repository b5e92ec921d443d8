-- Incidents: one row for each occurrence of one problem, and the counters of alert names.
--
-- Closed sets are check constraints that say the same words as the enums in sre_agent/incident.py and run.py.
-- `scope` is 'live', or names the replay command that made the row: cool-downs and brakes see their own scope only.
-- `latest_starts_at` is the latest startsAt of all notifications: what a person resolved stays resolved for these.
-- `last_seq` and `last_hash` are the head of the incident's chain of events (0003), so that a missing end shows.

do $$
begin
    if current_setting('server_encoding') <> 'UTF8' then
        raise feature_not_supported using
            message = format('the database is encoded in %s; create it with encoding UTF8',
                             current_setting('server_encoding'));
    end if;
end
$$;

create table incidents (
    id                 bigserial   primary key,
    origin             text        not null check (origin in ('live', 'replay')),
    scope              text        not null check ((scope = 'live') = (origin = 'live')),
    cluster            text        not null,
    fingerprint        text        not null,
    dedup_key          text        not null,
    alertname          text        not null,
    namespace          text,
    pod                text,
    container          text,
    node               text,
    workload           text,
    severity           text,
    runbook_id         text,
    status             text        not null default 'open' check (status in ('open', 'suppressed', 'resolved')),
    agent_mode         text        not null check (agent_mode in ('recommend', 'auto')),
    summary            text,
    action_taken       text,
    action_recommended text,
    action_error       text,
    labels             jsonb       not null,
    annotations        jsonb       not null,
    suppressed_count   integer     not null default 0,
    starts_at          timestamptz,
    latest_starts_at   timestamptz,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    resolved_at        timestamptz,
    resolved_by        text        check (resolved_by in ('alertmanager', 'person', 'replay')),
    last_seq           bigint      not null default 0,
    last_hash          bytea,
    check ((status = 'resolved') = (resolved_at is not null)),
    check ((resolved_at is null) = (resolved_by is null)),
    check ((last_seq = 0) = (last_hash is null))
) with (fillfactor = 80);  -- what appends events moves the head: room for the new row version on the same page

-- One open incident per problem; and the newest one of a problem in a scope, whatever its status.
create unique index incidents_open on incidents (origin, cluster, dedup_key) where status in ('open', 'suppressed');
create index incidents_problem on incidents (origin, cluster, dedup_key, scope, id);

-- The list, newest first, by keyset.
create index incidents_updated on incidents (updated_at desc, id desc);

-- Similar incidents, newest first: the union of four short reads.
create index incidents_alertname on incidents (origin, alertname, created_at desc, id desc);
create index incidents_pod on incidents (origin, namespace, pod, created_at desc, id desc) where pod is not null;
create index incidents_workload on incidents (origin, namespace, workload, created_at desc, id desc)
    where workload is not null;
create index incidents_node on incidents (origin, node, created_at desc, id desc) where node is not null;

-- How often an alert name opened an incident: counting a hundred thousand rows for each report would take too long.
create table alert_counts (
    origin    text        not null,
    cluster   text        not null,
    alertname text        not null,
    incidents bigint      not null,
    first_at  timestamptz not null,
    last_at   timestamptz not null,
    primary key (origin, alertname, cluster)
) with (fillfactor = 50);
