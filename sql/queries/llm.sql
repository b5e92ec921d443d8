-- What was asked of language models, and what it cost.

-- name: lock_llm_budget
-- Until the transaction ends: two attempts at one run cannot both see room for one call.
select pg_advisory_xact_lock(hashtextextended('llm budget ' || %(budget_id)s::text, 0));

-- name: reserve_llm_call
-- One row: what the run has spent so far, and the number of the call; null where a budget has no room for it.
with spent as (
    select count(*) as calls, coalesce(sum(tokens), 0)::bigint as tokens
      from llm_calls
     where budget_id = %(budget_id)s),
allowed as (
    insert into llm_days as today (day, calls, tokens, cost)
    select (now() at time zone 'UTC')::date, 1, %(tokens)s, %(cost)s
      from spent
     where spent.calls < %(calls_per_run)s and spent.tokens + %(tokens)s <= %(tokens_per_run)s
       and %(tokens)s <= %(tokens_per_day)s
       and (%(cost_per_day)s::double precision is null or %(cost)s <= %(cost_per_day)s)
    on conflict (day) do update
       set calls = today.calls + 1, tokens = today.tokens + excluded.tokens, cost = today.cost + excluded.cost
     where today.tokens + excluded.tokens <= %(tokens_per_day)s
       and (%(cost_per_day)s::double precision is null or today.cost + excluded.cost <= %(cost_per_day)s)
    returning 1),
called as (
    insert into llm_calls (budget_id, incident_id, purpose, model, tokens, cost)
    select %(budget_id)s, %(incident_id)s, %(purpose)s, %(model)s, %(tokens)s, %(cost)s from allowed
    returning id)
select spent.calls, spent.tokens, (select id from called) as id from spent;

-- name: settle_llm_call
with settled as (
    update llm_calls c
       set tokens = %(prompt_tokens)s + %(completion_tokens)s, cost = %(cost)s, prompt_tokens = %(prompt_tokens)s,
           completion_tokens = %(completion_tokens)s, latency_ms = %(latency_ms)s, error = %(error)s
      from llm_calls before
     where c.id = %(id)s and before.id = c.id
    returning (c.at at time zone 'UTC')::date as day, c.tokens - before.tokens as tokens, c.cost - before.cost as cost)
update llm_days d
   set tokens = d.tokens + s.tokens, cost = d.cost + s.cost
  from settled s
 where d.day = s.day
returning d.day;

-- name: llm_today
select coalesce(sum(calls), 0)::bigint as calls, coalesce(sum(tokens), 0)::bigint as tokens,
       coalesce(sum(cost), 0) as cost
  from llm_days
 where day = (now() at time zone 'UTC')::date;
