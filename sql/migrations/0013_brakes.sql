-- Brakes: what all processes on this database share about how much may be changed at once, and the pauses.
--
-- A brake is asked twice: by a guard over the facts that `brake_state` reads, and by `record_intent` in the transaction
-- that commits the intent, where one process after another passes. Rules have the same names in both places
-- (sre_agent/guards/brakes.py says them to people). Scopes do not see each other, so that a replay brakes nothing live;
-- pauses and storms are of live runs alone.
--
-- An action counts as a write unless it failed: then it changed nothing. Actions of one run with the same tool on the
-- same target are one write, so that a drain that was cut off may go on. An intent without an outcome holds its target,
-- its namespace and the drain for `open_for` at most: until then whoever takes its run up says what became of it, and
-- after that the process that committed it sends nothing more (query `may_send`).

create table pauses (
    id         bigserial   primary key,
    since      timestamptz not null,
    until      timestamptz check (until > since),
    paused_by  text        not null,
    reason     text,
    resumed_at timestamptz,
    resumed_by text,
    check ((resumed_at is null) = (resumed_by is null))
);

create index pauses_standing on pauses (id) where resumed_at is null;

-- Whom a brake of the whole cluster was told by: one run for all that met the brake until it was calm.
create table brake_episodes (
    scope       text        not null,
    cluster     text        not null,
    rule        text        not null,
    run_id      uuid        not null,
    incident_id bigint      not null,
    began_at    timestamptz not null,
    seen_at     timestamptz not null,
    primary key (scope, cluster, rule)
) with (fillfactor = 50);

-- How the API server answered each process within its last minutes.
create table api_traffic (
    source   uuid        primary key,
    cluster  text        not null,
    requests integer     not null check (requests >= 0),
    errors   integer     not null check (errors between 0 and requests),
    at       timestamptz not null
) with (fillfactor = 50);

create index incidents_newest_live on incidents (cluster, created_at) where origin = 'live';

-- The limits of one agent. An interval of 0 is off. `actionable` are the runbooks that may change something.
create type brake_limits as (
    cooldown        interval,
    action_window   interval,
    actions_per_day integer,
    writes          integer,
    writes_window   interval,
    drain_pause     interval,
    storm           integer,
    storm_window    interval,
    actionable      text[],
    open_for        interval
);

create function standing_pauses(moment timestamptz) returns setof pauses language sql stable as $$
    select * from pauses p where p.resumed_at is null and (p.until is null or p.until > moment) order by p.id
$$;

-- When the storm will have been calm for the window; null without one. A storm is more than `limits.storm` new live
-- incidents that began within one window; each further one of the kind begins the calm anew.
create function storm_end(on_cluster text, limits brake_limits, moment timestamptz)
returns timestamptz language sql stable as $$
    select max(f.created_at) + limits.storm_window
      from (select i.created_at,
                   coalesce(i.starts_at, i.created_at) as began,
                   lag(coalesce(i.starts_at, i.created_at), limits.storm)
                       over (order by coalesce(i.starts_at, i.created_at), i.id) as began_before
              from incidents i
             where i.origin = 'live' and i.cluster = on_cluster
               and i.created_at > moment - 2 * limits.storm_window
               and i.runbook_id = any (limits.actionable)) f
     where f.began - f.began_before < limits.storm_window
       and f.created_at > moment - limits.storm_window
$$;

-- What stands against an intent of a run right now, the first rule that does; null where nothing does. `retry_at` is
-- null where nobody knows when it will have passed.
create function braked(
    holder uuid, wanted actions, limits brake_limits, moment timestamptz, out rule text, out retry_at timestamptz
) language plpgsql as $$
declare
    space text := split_part(wanted.target_key, '/', 2);
begin
    if wanted.scope = 'live' then
        select 'pause', p.until into rule, retry_at
          from standing_pauses(moment) p order by p.until desc nulls first limit 1;
        if found then
            return;
        end if;
        retry_at := storm_end(wanted.cluster, limits, moment);
        if retry_at > moment then
            rule := 'storm';
            return;
        end if;
    end if;

    select 'writes', w.written_at + limits.writes_window into rule, retry_at
      from (select max(a.intended_at) as written_at
              from actions a
             where a.scope = wanted.scope and a.cluster = wanted.cluster and a.status <> 'failed'
               and a.intended_at > moment - limits.writes_window
               and (a.run_id, a.status, a.tool, a.target_key)
                   <> (holder, 'intended', wanted.tool, wanted.target_key)
             group by a.run_id, a.tool, a.target_key) w
     order by w.written_at desc offset limits.writes - 1 limit 1;
    if found then
        return;
    end if;

    select case
               when a.target_key = wanted.target_key then 'target-busy'
               when a.tool = wanted.tool and a.tool = 'drain_node' then 'drain-busy'
               else 'namespace-busy'
           end
      into rule
      from actions a
     where a.scope = wanted.scope and a.cluster = wanted.cluster and a.status = 'intended'
       and a.intended_at > moment - limits.open_for
       and a.run_id <> holder
       and (a.target_key = wanted.target_key
            or (a.tool = wanted.tool and a.tool = 'drain_node')
            or (space <> '' and split_part(a.target_key, '/', 2) = space))
     order by a.target_key = wanted.target_key desc, a.tool = 'drain_node' desc
     limit 1;
    if found then
        return;
    end if;

    if wanted.tool = 'drain_node' then
        select 'drain-pause', max(coalesce(a.finished_at, a.intended_at)) + limits.drain_pause into rule, retry_at
          from actions a
         where a.scope = wanted.scope and a.cluster = wanted.cluster and a.status <> 'failed'
           and a.tool = 'drain_node'
           and a.intended_at > moment - limits.drain_pause - limits.open_for
           and coalesce(a.finished_at, a.intended_at) > moment - limits.drain_pause
           and not (a.run_id = holder and a.status = 'intended')
        having count(*) > 0;
        if found then
            return;
        end if;
    end if;

    select 'cooldown', max(a.intended_at) + limits.cooldown into rule, retry_at
      from actions a
     where a.scope = wanted.scope and a.cluster = wanted.cluster and a.target_key = wanted.target_key
       and a.tool = wanted.tool and a.status <> 'failed'
       and a.intended_at > moment - limits.cooldown
       and not (a.run_id = holder and a.status = 'intended')
    having count(*) > 0;
    if found then
        return;
    end if;

    select 'daily-cap', a.intended_at + limits.action_window into rule, retry_at
      from actions a
     where a.scope = wanted.scope and a.cluster = wanted.cluster and a.target_key = wanted.target_key
       and a.tool = wanted.tool and a.status <> 'failed'
       and a.intended_at > moment - limits.action_window
       and not (a.run_id = holder and a.status = 'intended')
     order by a.intended_at desc offset limits.actions_per_day - 1 limit 1;
end
$$;

-- Commits that a run is about to change something, with the events that say so. Without `action_id`: a brake is on
-- (`braked_by`), or the run is somebody else's (both null); nothing was written.
create function record_intent(
    holder uuid, held_attempt integer, wanted actions, pods jsonb, limits brake_limits, events jsonb,
    moment timestamptz, out action_id bigint, out braked_by text, out retry_at timestamptz
) language plpgsql as $$
declare
    incident bigint;
begin
    update runs r
       set touched_at = clock_timestamp()
     where r.id = holder and r.attempt = held_attempt and r.status = 'running'
    returning r.incident_id into incident;
    if not found then
        return;
    end if;

    -- Whoever is about to write in one scope and cluster passes here alone, and sees what the one before committed.
    perform pg_advisory_xact_lock(
        hashtextextended(concat_ws(chr(31), 'intent', wanted.scope, wanted.cluster), 0));
    select b.rule, b.retry_at into braked_by, retry_at from braked(holder, wanted, limits, moment) b;
    if braked_by is not null then
        return;
    end if;

    insert into actions (
        incident_id, run_id, attempt, scope, cluster, tool, action, target_key, value, body, near_limit, intended_at)
    values (
        incident, holder, held_attempt, wanted.scope, wanted.cluster, wanted.tool, wanted.action, wanted.target_key,
        wanted.value, wanted.body, wanted.near_limit, moment)
    returning id into action_id;
    insert into evictions (action_id, place, namespace, pod, uid)
    select record_intent.action_id, pod.place, pod.namespace, pod.name, pod.uid
      from rows from (jsonb_to_recordset(pods) as (namespace text, name text, uid text))
               with ordinality as pod (namespace, name, uid, place);
    perform append_events(incident, holder, moment, events, action_id);
end
$$;
