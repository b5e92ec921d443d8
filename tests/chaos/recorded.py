"""`sre-agent` on a recorded cluster of many killed workloads. What it asks the cluster to change is a line in a file.

Run as `python -m tests.chaos.recorded WRITES serve|worker …`; WRITES is the file. CHAOS_HURRIED shortens the times
after which a silent worker counts as dead and a request that nobody answered for as never sent; CHAOS_WORKLOADS says
how many workloads there are.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sre_agent import resumption
from sre_agent.cli import serving
from sre_agent.cli.main import run
from sre_agent.cluster.port import Write
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.objects import Object
from tests.chaos.replicas import PATIENCE, Replica
from tests.executor.fleet import EXAMPLES, objects_of
from tests.live.victim import hurry
from tests.web.servers import until

PROGRAM = ("-m", "tests.chaos.recorded")
WORKLOADS = int(os.environ.get("CHAOS_WORKLOADS", "12"))
LINGER_SECONDS = 0.3
"""How long each request takes, so that a process can end in the middle of one; CHAOS_LINGER says otherwise."""

UNBRAKED = {
    "AGENT_MODE": "auto",
    "SRE_AGENT_WRITES_PER_10M": "1000",
    "SRE_AGENT_STORM": "100000",
    "SRE_AGENT_EVIDENCE_BYTES": "0",
}


class NotedCluster(SnapshotCluster):
    """The workload of `oom-killed` in so many namespaces."""

    def __init__(self, writes: Path) -> None:
        single = objects_of("oom-killed")
        moved = [
            json.loads(json.dumps(obj).replace('"shop"', f'"{namespace_of(number)}"'))
            for number in range(WORKLOADS)
            for obj in single
            if obj["kind"] != "Node"
        ]
        super().__init__(from_objects([*(obj for obj in single if obj["kind"] == "Node"), *moved]))
        self._writes = writes
        self._linger = float(os.environ.get("CHAOS_LINGER", LINGER_SECONDS))

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        line = {"pid": os.getpid(), "namespace": write.namespace, "name": write.name, "dry_run": dry_run}
        with self._writes.open("a") as notes:
            notes.write(json.dumps(line) + "\n")
        answer = await super().write(write, dry_run=dry_run)
        await asyncio.sleep(self._linger)
        return answer


def recorded(log: Path, writes: Path, command: str, **environment: str) -> Replica:
    """A process whose worker may change the recorded cluster; it takes a silent one for dead after seconds."""
    return Replica(log, str(writes), command, program=PROGRAM, CHAOS_HURRIED="yes", **UNBRAKED, **environment)


def namespace_of(number: int) -> str:
    return f"shop-{number}"


def killed(number: int) -> dict[str, Any]:
    """The alert about one of those workloads, firing since now."""
    (told,) = json.loads((EXAMPLES / "oom-killed" / "payload.json").read_text())["alerts"]
    told["labels"] |= {"namespace": namespace_of(number)}
    del told["fingerprint"]
    return told | {"startsAt": datetime.now(UTC).isoformat()}


def written(writes: Path) -> list[dict[str, Any]]:
    """What was asked of the cluster so far, by all processes."""
    return [json.loads(line) for line in writes.read_text().splitlines()] if writes.exists() else []


async def begins_to_write(worker: Replica, writes: Path) -> None:
    """Waits for its dry run: the intent is committed, and the change is what comes next."""

    async def begun() -> bool:
        return asked(worker, writes) != []

    await until(begun, seconds=PATIENCE)


def asked(worker: Replica, writes: Path) -> list[dict[str, Any]]:
    """What this process asked of the cluster, in order."""
    return [line for line in written(writes) if line["pid"] == worker.process.pid]


def main(writes: str, *arguments: str) -> int:
    @asynccontextmanager
    async def cluster(_context: str | None) -> AsyncIterator[serving.OpenedCluster]:
        yield serving.OpenedCluster(cluster=NotedCluster(Path(writes)), place="a recording")

    serving.opened_cluster = cluster
    if "CHAOS_HURRIED" in os.environ:
        hurry()
        resumption.LATEST_ARRIVAL = timedelta(seconds=6)
    return run(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
