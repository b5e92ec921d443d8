-- What was asked of language models, and what it cost: the budgets of a run and of a day, shared by all replicas.
--
-- A call is counted before it is made, with the most that it can cost, and settled when it is over; one whose process
-- died stays counted as it was. Days are of the database's clock in UTC: money is spent today, also by a replay.

create table llm_calls (
    id                bigint      generated always as identity primary key,
    budget_id         uuid        not null,
    incident_id       bigint      references incidents on delete cascade,
    at                timestamptz not null default now(),
    purpose           text        not null,
    model             text        not null,
    tokens            bigint      not null,
    cost              double precision not null,
    prompt_tokens     bigint,
    completion_tokens bigint,
    latency_ms        bigint,
    error             text
);

create index llm_calls_of_budget on llm_calls (budget_id);
create index llm_calls_of_incident on llm_calls (incident_id);

create table llm_days (
    day    date             primary key,
    calls  bigint           not null,
    tokens bigint           not null,
    cost   double precision not null
) with (fillfactor = 50);
