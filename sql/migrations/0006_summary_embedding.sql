-- requires-extension: vector
-- Reserved for semantic similarity of summaries; nothing else depends on it.

create extension if not exists vector;

alter table incidents add column summary_embedding vector(1536);
