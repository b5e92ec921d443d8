"""A worker in a process of its own that says what it sends.

Run as `python -m tests.executor.frozen_worker DATABASE EXAMPLE RUN INCIDENT`.
After each line it lingers, so that whoever reads it can stop the process there.
"""

import asyncio
import sys
from uuid import UUID

from sre_agent.cluster.port import Write
from sre_agent.executor import Assignment
from sre_agent.objects import Object
from sre_agent.run import Mode
from sre_agent.store import LostFence, Store
from tests.executor.fleet import Fleet, alert_of, objects_of, run, time_of

LINGER_SECONDS = 1.0


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


class Telling(Fleet):
    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        say("dry run" if dry_run else write.subresource or "write")
        answer = await super().write(write, dry_run=dry_run)
        if dry_run or write.subresource:
            await asyncio.sleep(LINGER_SECONDS)
        return answer


async def main(database: str, example: str, run_id: str, incident_id: str) -> None:
    assignment = Assignment(
        run_id=UUID(run_id), incident_id=int(incident_id), alert=alert_of(example), scope="live", mode=Mode.AUTO
    )
    async with Store.open(database) as store:
        try:
            await run(store, Telling(objects_of(example)), assignment, time_of(example))
        except LostFence:
            say("LostFence")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
