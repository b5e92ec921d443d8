"""A worker in a process of its own that ends itself, with SIGKILL, at a named point of a run.

Run as `python -m tests.live.victim DATABASE POINT TIMES`: POINT is such as `after cluster.write`, TIMES how often it is
passed before. KUBECONFIG leads to the cluster; it works until it dies.
"""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, replace
from datetime import timedelta

from sre_agent import jobs, worker
from sre_agent.agent import Minds, Service, load_runbooks
from sre_agent.cluster.live import open_cluster
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.settings import load
from sre_agent.store import Store
from tests.executor.mortal import Death, Mortal

HURRIED = {
    "AGENT_MODE": "auto",
    "SRE_AGENT_SETTLE": "0",
    "SRE_AGENT_EVIDENCE_BYTES": "0",
    "SRE_AGENT_COOLDOWN": "1m",
}
SILENCE = timedelta(seconds=4)


@dataclass(kw_only=True)
class Suicide(Death):
    """SIGKILL, as the kernel sends it to a process that takes too much memory."""

    point: str = ""
    times: int = 0

    def passes(self, what: str) -> None:
        if what == self.point:
            self.times -= 1
            if self.times < 0:
                os.kill(os.getpid(), signal.SIGKILL)


def hurry() -> None:
    """The same bounds, in a few seconds."""
    jobs.HEARTBEAT_SECONDS = 1.0
    jobs.SILENCE = worker.SILENCE = SILENCE
    worker.ROUND_SECONDS = 0.5


async def work(database: str, death: Death, stop: asyncio.Event) -> None:
    """A worker on the cluster of KUBECONFIG, whose store and cluster are mortal."""
    settings = load({**os.environ, **HURRIED})
    runbooks = load_runbooks(settings)
    async with Store.open(database) as store, open_cluster() as cluster:
        service = Service(
            store=store,
            minds=Minds(planner=ScriptedPlanner()),
            runbooks=lambda: runbooks,
            cluster=cluster,
            place="the test's",
            settings=settings,
            database=database,
        )
        mortal = replace(service, store=Mortal(store, death, "store"), cluster=Mortal(cluster, death, "cluster"))
        await worker.RunWorker(mortal, concurrency=2).work(stop)


if __name__ == "__main__":
    hurry()
    asyncio.run(work(sys.argv[1], Suicide(point=sys.argv[2], times=int(sys.argv[3])), asyncio.Event()))
