-- name: keep_evidence
-- One statement, so a record is never without its objects. They are stored in the order of their hashes: two runs
-- that store the same ones wait for each other in one order. The commit does not wait for the disk: the run has ended,
-- and what a crash of the server takes in that moment is one run's evidence as a whole.
with unhurried as materialized (select set_config('synchronous_commit', 'off', true)),
kept as (
    insert into evidence (incident_id, run_id, kept_at, record, bytes, missing)
    select %(incident_id)s, %(run_id)s, %(now)s, %(record)s, %(bytes)s, %(missing)s from unhurried
    returning id),
given as (
    select sha256, body, place - 1 as place
      from unnest(%(hashes)s::bytea[], %(bodies)s::bytea[]) with ordinality as object (sha256, body, place)),
stored as (
    insert into evidence_objects (sha256, body)
    select sha256, body from given order by sha256
    on conflict (sha256) do nothing)
insert into evidence_parts (evidence_id, place, sha256)
select kept.id, given.place, given.sha256 from kept, given;

-- name: newest_evidence
select e.id, e.incident_id, e.run_id, e.kept_at, e.record, e.missing,
       (select count(*) from runs later where later.incident_id = e.incident_id and later.queued_at > r.queued_at)
           as later_runs
  from evidence e
  join runs r on r.id = e.run_id
 where e.incident_id = %(incident_id)s
 order by e.id desc
 limit 1;

-- name: evidence_objects
select p.place, o.sha256, o.body
  from evidence_parts p
  join evidence_objects o using (sha256)
 where p.evidence_id = %(evidence_id)s
 order by p.place;

-- name: runs_of_incident_by_status
select status, count(*) as runs from runs where incident_id = %(incident_id)s group by status order by status;

-- name: sweep_evidence
select sweep_evidence() as removed;
