-- name: configure_session
-- No query here runs long enough to be worth compiling. Every query of a run goes by an index, also in a young database:
-- a plan that was made while a table was small is kept while it grows, until somebody analyses it.
select
    set_config('timezone', 'UTC', false),
    set_config('jit', 'off', false),
    set_config('enable_seqscan', 'off', false);

-- name: wait_for_migrations
-- One key for all versions of this program: whoever holds it may change the schema.
select pg_advisory_lock(7301968524631);

-- name: limit_waiting
select set_config('lock_timeout', %(milliseconds)s, false);

-- name: create_schema_migrations
create table if not exists schema_migrations (
    name       text        primary key,
    sha256     text        not null,
    applied_at timestamptz not null default clock_timestamp()
);

-- name: schema_migrations_table
-- No row in a database that was never migrated.
select to_regclass('schema_migrations') where to_regclass('schema_migrations') is not null;

-- name: applied_migrations
select name, sha256, applied_at from schema_migrations;

-- name: record_migration
insert into schema_migrations (name, sha256) values (%(name)s, %(sha256)s);

-- name: enter_jobs
create schema if not exists jobs;
select set_config('sre_agent.path', current_setting('search_path'), true), set_config('search_path', 'jobs', true);

-- name: leave_jobs
select set_config('search_path', current_setting('sre_agent.path'), true);

-- name: use_jobs
-- A job only says that a run is due. One that comes back after a crash of the server finds out from its run what is
-- true, so nobody waits until the disk has it.
select
    set_config('search_path', 'jobs', false),
    set_config('synchronous_commit', 'off', false),
    set_config('enable_seqscan', 'off', false);

-- name: usable_extensions
-- Installed already, or available to this user.
select extname as name from pg_extension
union
select v.name
  from pg_available_extension_versions v
 where not v.superuser
    or (select rolsuper from pg_roles where rolname = current_user)
    or (v.trusted and has_database_privilege(current_database(), 'create'));

-- name: server_time
select clock_timestamp() as now;
