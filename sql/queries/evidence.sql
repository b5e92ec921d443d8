-- name: keep_evidence
-- One statement, so a record is never without its objects. They are stored in the order of their hashes: two runs
-- that store the same ones wait for each other in one order.
with kept as (
    insert into evidence (incident_id, run_id, kept_at, record, bytes, missing)
    values (%(incident_id)s, %(run_id)s, %(now)s, %(record)s, %(bytes)s, %(missing)s)
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
select id, incident_id, run_id, kept_at, record, missing
  from evidence
 where incident_id = %(incident_id)s
 order by id desc
 limit 1;

-- name: evidence_objects
select o.sha256, o.body
  from evidence_parts p
  join evidence_objects o using (sha256)
 where p.evidence_id = %(evidence_id)s
 order by p.place;

-- name: runs_of_incident_by_status
select status, count(*) as runs from runs where incident_id = %(incident_id)s group by status order by status;

-- name: sweep_evidence
select sweep_evidence() as removed;
