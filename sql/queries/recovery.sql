-- Nodes whose alerts are over, and whose incidents wait until the node is seen Ready.

-- name: waiting_nodes
select i.id as incident_id, i.node, i.over_seq
  from incidents i
 where i.over_seq is not null and i.status in ('open', 'suppressed') and i.origin = 'live'
   and i.cluster = coalesce(%(cluster)s, i.cluster) and i.node is not null and is_over(i)
 order by i.id
 limit 1000;

-- name: close_over
select close_over(
    incident => %(incident_id)s, seen => %(over_seq)s, resolved => %(resolved)s, moment => %(now)s) as closed;
