-- Whole old incidents may go, and nothing else: the ledger of all incidents, what proves the chains, and `prune`.
--
-- The ledger has one row for each incident there ever was. An incident that is pruned leaves its checkpoint in it:
-- the head of its chain, when, and by which database role. A gap in the ids proves nothing (a rolled-back insert
-- leaves one too); an incident of the ledger that is neither there nor pruned was taken away.
--
-- What is allowed is decided by what stands in the tables, not by who calls or by a flag that anybody could set:
--   * a ledger row comes with its incident, and is completed once, for a resolved one, with exactly the head of its
--     chain and the role that does it; nothing else;
--   * events are deleted only if their incident has such a checkpoint and none of its events stays.
-- So a role that may delete can prune by hand as well, and cannot do anything else with it.

create table incident_ledger (
    incident_id bigint      primary key,
    pruned_at   timestamptz,
    pruned_by   text,
    last_seq    bigint,
    last_hash   bytea,
    check ((pruned_at is null) = (pruned_by is null)),
    check ((pruned_at is null) = (last_seq is null)),
    check ((coalesce(last_seq, 0) = 0) = (last_hash is null))
);

create function enter_in_ledger() returns trigger language plpgsql as $$
begin
    insert into incident_ledger (incident_id) values (new.id);
    return null;
end
$$;

create trigger enter_in_ledger after insert on incidents for each row execute function enter_in_ledger();

insert into incident_ledger (incident_id) select id from incidents order by id;

create function keep_ledger() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' and new.pruned_at is null and exists (select from incidents i where i.id = new.incident_id)
    then
        return new;
    end if;
    if tg_op = 'UPDATE' and new.incident_id = old.incident_id and old.pruned_at is null and exists (
        select from incidents i
         where i.id = new.incident_id and i.status = 'resolved'
           and i.last_seq = new.last_seq and i.last_hash is not distinct from new.last_hash)
    then
        new.pruned_by := session_user;
        return new;
    end if;
    raise restrict_violation using
        message = format('%s of incident %s in the ledger refused', tg_op, coalesce(old.incident_id, new.incident_id)),
        hint = 'A ledger row comes with its incident, and is completed once, with the head of a resolved one: '
               'see `sre-agent db prune`.';
end
$$;

create trigger keep_ledger before insert or update or delete on incident_ledger
    for each row execute function keep_ledger();
create trigger append_only before truncate on incident_ledger for each statement execute function refuse_change();

-- Events: still no update and no truncate; a delete takes whole incidents that have their checkpoint.

create function refuse_partial_delete() returns trigger language plpgsql as $$
declare
    kept bigint;
begin
    select r.incident_id into kept
      from (select distinct incident_id from removed) as r
      left join incident_ledger l using (incident_id)
     where l.pruned_at is null
        or exists (select from incident_events e where e.incident_id = r.incident_id)
     limit 1;
    if found then
        raise restrict_violation using
            message = format('incident_events is append-only: DELETE of events of incident %s refused', kept),
            hint = 'Whole resolved incidents go with `sre-agent db prune`, which leaves a checkpoint.';
    end if;
    return null;
end
$$;

drop trigger append_only on incident_events;
create trigger append_only before update or truncate on incident_events
    for each statement execute function refuse_change();
create trigger whole_incidents_only after delete on incident_events referencing old table as removed
    for each statement execute function refuse_partial_delete();

-- Ids of events grow with seq in an incident, because they too are given while the incident's row is held. Those that
-- were given before this migration may not: two writers at once took their ids before they waited for each other.

create or replace function chain_event() returns trigger language plpgsql as $$
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
    new.id := nextval('incident_events_id_seq');
    new.seq := before.seq + 1;
    new.prev_hash := before.hash;
    new.hash := event_hash(
        new.incident_id, new.seq, new.run_id, new.ts, new.event_type, new.payload, new.prev_hash);
    return new;
end
$$;

alter table incident_events alter column id drop default;

-- What a trigger reads must be the tables that it guards. Without a path of its own it would read a temporary table of
-- the same name first, and anybody may make one.
do $$
declare
    guard text;
begin
    foreach guard in array array[
        'chain_event', 'move_head', 'enter_in_ledger', 'keep_ledger', 'refuse_partial_delete'] loop
        execute format('alter function %I() set search_path = %I, pg_temp', guard, current_schema());
    end loop;
end
$$;

do $$
begin
    execute format(
        'create function last_unordered_event() returns bigint language sql immutable parallel safe as %L',
        format('select %s::bigint', (select coalesce(max(id), 0) from incident_events)));
end
$$;

-- Every row that does not fit its chain. `seq` is the row, or the place of a row that is missing; null where the
-- incident as a whole is meant.

create view chain_faults as
select incident_id, seq, fault
  from (
    select incident_id, seq,
           case
               when seq <> coalesce(lag(seq) over chain, 0) + 1 then 'missing_before'
               when hash is distinct from event_hash(incident_id, seq, run_id, ts, event_type, payload, prev_hash) then 'changed'
               when prev_hash is distinct from lag(hash) over chain then 'unlinked'
               when id <= lag(id) over chain and (lag(id) over chain > last_unordered_event() or id < 1)
                   then 'reordered'
           end as fault
      from incident_events
    window chain as (partition by incident_id order by seq)) as linked
 where fault is not null
union all
select i.id, coalesce(newest.seq, 0) + 1, case i.last_seq when 0 then 'no_events' else 'missing_end' end
  from incidents i
  left join lateral (
    select seq from incident_events e where e.incident_id = i.id order by e.seq desc limit 1) as newest on true
 where newest.seq is null or i.last_seq > newest.seq
union all
select i.id, newest.seq, 'other_head'
  from incidents i
 cross join lateral (
    select seq, hash from incident_events e where e.incident_id = i.id order by e.seq desc limit 1) as newest
 where i.last_seq < newest.seq or (i.last_seq = newest.seq and i.last_hash is distinct from newest.hash)
union all
select e.incident_id, e.seq, 'no_incident'
  from incident_events e
 where not exists (select from incidents i where i.id = e.incident_id)
union all
select l.incident_id, null, 'gone'
  from incident_ledger l
 where l.pruned_at is null and not exists (select from incidents i where i.id = l.incident_id)
union all
select i.id, null, case when l.incident_id is null then 'not_in_ledger' else 'pruned_and_there' end
  from incidents i
  left join incident_ledger l on l.incident_id = i.id
 where l.incident_id is null or l.pruned_at is not null;

-- Removes at most `most` resolved incidents that were resolved before a moment and have no active run, with all that
-- hangs on them, the longest resolved first. What somebody holds at this moment stays for the next call. One whose
-- chain is broken is evidence: none is removed together with it.

create function prune_incidents(
    before timestamptz, most integer, moment timestamptz, out incidents bigint, out events bigint
) language plpgsql as $$
declare
    old    bigint[];
    broken bigint;
begin
    select array_agg(chosen.id) into old
      from (select i.id
              from incidents i
             where i.status = 'resolved' and i.resolved_at < before
               and not exists (
                select from runs r
                 where r.incident_id = i.id and r.status in ('queued', 'running', 'waiting_approval'))
             order by i.resolved_at
             limit most
               for update skip locked) as chosen;
    incidents := coalesce(cardinality(old), 0);
    events := 0;
    if incidents = 0 then
        return;
    end if;

    select min(f.incident_id) into broken from chain_faults f where f.incident_id = any (old);
    if broken is not null then
        raise data_corrupted using
            message = format('the chain of incident %s is broken', broken),
            hint = 'See `sre-agent db verify-audit`. What it was is evidence, so it is not removed.';
    end if;

    update incident_ledger l
       set pruned_at = moment, pruned_by = session_user, last_seq = i.last_seq, last_hash = i.last_hash
      from incidents i
     where i.id = any (old) and l.incident_id = i.id;
    delete from incident_events e where e.incident_id = any (old);
    get diagnostics events = row_count;
    delete from approvals a where a.incident_id = any (old);
    delete from actions a where a.incident_id = any (old);
    delete from runs r where r.incident_id = any (old);
    delete from incidents i where i.id = any (old);
end
$$;
