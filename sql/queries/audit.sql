-- The proof of the chains (the view chain_faults, 0008), a range of incidents at a time.

-- name: read_one_moment
set transaction isolation level repeatable read, read only;

-- name: end_of_range
-- The last incident of the next range; null when none is left.
select max(id) as upto
  from (select id from incidents where id > %(after)s order by id limit %(most)s) as range;

-- name: size_of_range
select (select count(*) from incidents where id > %(after)s and id <= %(upto)s) as incidents,
       (select count(*) from incident_events where incident_id > %(after)s and incident_id <= %(upto)s) as events;

-- name: first_faults
-- The first row of each incident that does not fit; what concerns the whole incident comes before its rows.
with first as (
    select distinct on (incident_id) incident_id, seq, fault
      from chain_faults
     where incident_id > %(after)s and incident_id <= %(upto)s
     order by incident_id, seq nulls first, fault)
select incident_id, seq, e.id as event_id, fault
  from first left join incident_events e using (incident_id, seq)
 order by incident_id;

-- name: checkpoints
select count(*) as checkpoints from incident_ledger where pruned_at is not null;

-- name: prunable
select count(*) as incidents, coalesce(sum(i.last_seq), 0)::bigint as events,
       (select count(*) from webhooks w where w.received_at < %(before)s) as webhooks
  from incidents i
 where i.status = 'resolved' and i.resolved_at < %(before)s
   and not exists (
    select from runs r where r.incident_id = i.id and r.status in ('queued', 'running', 'waiting_approval'));

-- name: prune
select incidents, events from prune_incidents(before => %(before)s, most => %(most)s, moment => %(now)s);

-- name: prune_webhooks
with removed as (
    delete from webhooks
     where id in (
        select id from webhooks where received_at < %(before)s order by received_at limit %(most)s for update skip locked)
    returning id)
select count(*) as webhooks from removed;

-- name: sweep_brake_episodes
-- Which incident told a person of a brake: nobody needs to know once that incident is gone.
with removed as (
    delete from brake_episodes e
     where not exists (select from incidents i where i.id = e.incident_id)
    returning 1)
select count(*) as episodes from removed;
