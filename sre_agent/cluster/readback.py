"""Whether a write took effect whose answer never came, by reading its object back. It is never sent again.

Called by whoever sends writes. Protects the rule that an unknown outcome is looked up: a patch is there or can no
longer arrive, a pod is gone or going; what is neither stays unknown, and a person is told.
"""

import asyncio
from enum import StrEnum
from typing import Any

from sre_agent import objects
from sre_agent.cluster import strategic_merge
from sre_agent.cluster.port import Cluster, ClusterError, NotFound, Write, WriteVerb
from sre_agent.objects import Object

LOOKS = 3
"""How often the object is read where the write may still be on its way."""
PAUSE_SECONDS = 1.0


class Effect(StrEnum):
    """What reading back says of a write."""

    TOOK = "took effect"
    NEVER = "is not there and can no longer arrive"
    REPLACED = "is not there, and others changed the object since: they were first, or took it back"
    UNSEEN = "was not there when it was looked up, and may still arrive"
    UNREAD = "could not be looked up"


async def look_up(cluster: Cluster, write: Write, *, looks: int = LOOKS, foreseen: Object | None = None) -> Effect:
    """Reads the object of a write until it is clear what became of it, `looks` times. Never raises ClusterError.

    `foreseen` is what the dry run said that the object would be: as long as its generation is lower, nobody changed
    its spec, the write neither.
    """
    effect = Effect.UNREAD
    for look in range(looks):
        if look:
            await asyncio.sleep(PAUSE_SECONDS)
        try:
            effect = _judge(write, await cluster.get(write.resource, write.namespace, write.name), foreseen or {})
        except NotFound:
            effect = Effect.TOOK if _removes(write) else Effect.NEVER
        except ClusterError:
            continue
        if effect is not Effect.UNSEEN:
            break
    return effect


def _removes(write: Write) -> bool:
    return write.verb is WriteVerb.DELETE or write.subresource == "eviction"


def _judge(write: Write, found: Object, foreseen: Object) -> Effect:
    replaced = write.uid is not None and objects.uid(found) != write.uid
    if _removes(write):
        return Effect.TOOK if replaced or objects.terminating(found) else Effect.UNSEEN
    if replaced:
        return Effect.NEVER
    if _as_kept(strategic_merge.apply(found, write.body)) == _as_kept(found):
        return Effect.TOOK
    moved_on = write.resource_version is not None and objects.resource_version(found) != write.resource_version
    if not moved_on:
        return Effect.UNSEEN
    wanted = objects.generation(foreseen)
    return Effect.REPLACED if wanted is not None and (objects.generation(found) or 0) >= wanted else Effect.NEVER


def _as_kept(value: Any) -> Any:
    """JSON without its empty fields: the API server leaves them out, so `unschedulable: false` reads back as absent."""
    if isinstance(value, dict):
        kept = {key: _as_kept(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry not in (None, False, "", 0, [], {})}
    return [_as_kept(entry) for entry in value] if isinstance(value, list) else value
