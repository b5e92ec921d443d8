-- The list of incidents by its filters, newest first, at any depth: each filter has the order of the list behind it.
-- What is nearly the same question asked twice (an alert name has one runbook, and mostly one severity) is answered
-- within one index, because a pair that never occurs would look up every row of the more selective one; the statistics
-- say so to the planner.

create index incidents_by_origin on incidents (origin, updated_at desc, id desc);
create index incidents_by_status on incidents (status, updated_at desc, id desc);
create index incidents_by_alertname on incidents (alertname, updated_at desc, id desc) include (severity, runbook_id);
create index incidents_by_namespace on incidents (namespace, updated_at desc, id desc) include (alertname, severity)
    where namespace is not null;
create index incidents_by_node on incidents (node, updated_at desc, id desc) where node is not null;
create index incidents_by_runbook on incidents (runbook_id, updated_at desc, id desc) include (alertname, severity)
    where runbook_id is not null;
create index incidents_by_severity on incidents (severity, updated_at desc, id desc) include (alertname, runbook_id)
    where severity is not null;
create statistics incidents_kinds on alertname, severity, runbook_id from incidents;

-- What `db prune` removes.
create index incidents_resolved on incidents (resolved_at) where status = 'resolved';

-- Text search. Words are what stands between white space and ASCII punctuation, in lower case; an alert name is also
-- found from each of its capitals on: KubePodOOMKilled by kubepod, podoom, oomkilled and killed. A name is at most
-- 512 bytes; of a summary the first 400 characters count, because PostgreSQL takes no word above 2 KiB.
--
-- The bodies are bound when they are defined (`return`), so that they mean the same under any search_path.

create function text_words(said text) returns text[] language sql immutable parallel safe
return array_remove(regexp_split_to_array(lower(said), '[\s!-/:-@\[-`{-~]+'), '');

create function capital_words(alertname text) returns text[] language sql immutable parallel safe
return (
    select array_agg(lower(array_to_string(parts[place:], '')))
      from (select regexp_split_to_array(
                regexp_replace(
                    regexp_replace(alertname, '([a-z0-9])([A-Z])', '\1 \2', 'g'), '([A-Z])([A-Z][a-z])', '\1 \2', 'g'),
                '\s+') as parts) as split,
           generate_subscripts(parts, 1) as place);

create function incident_words(alertname text, namespace text, pod text, workload text, node text, summary text)
returns tsvector language sql immutable parallel safe
return array_to_tsvector(array_remove(
    capital_words(alertname) || text_words(
        alertname || ' ' || coalesce(namespace, '') || ' ' || coalesce(pod, '') || ' ' || coalesce(workload, '')
        || ' ' || coalesce(node, '') || ' ' || coalesce(left(summary, 400), '')),
    ''));

-- Every word of the text, each as the beginning of one; null where the text has none.
create function words_query(said text) returns tsquery language sql immutable parallel safe
return (select string_agg(format('''%s'':*', word), ' & ')::tsquery from unnest(text_words(said)) as word);

-- Stored, because for a frequent word it is quicker to walk the list and look at each row than to gather all matches.
alter table incidents add column words tsvector
    generated always as (incident_words(alertname, namespace, pod, workload, node, summary)) stored;

create index incidents_words on incidents using gin (words);
