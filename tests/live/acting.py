"""One run of the agent on a real API server, as often as a test wants it."""

from datetime import UTC, datetime

from sre_agent.agent import load_runbooks
from sre_agent.alert import Alert
from sre_agent.cluster.live import LiveCluster
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.run import Mode, RunRecord
from sre_agent.settings import load as load_settings
from sre_agent.store import Store

SETTINGS = load_settings(
    {
        "SRE_AGENT_COOLDOWN": "0",
        "SRE_AGENT_SETTLE": "0",
        "SRE_AGENT_ACTION_WINDOW": "0",
        "SRE_AGENT_WRITES_PER_10M": "1000",
    }
)


def present() -> datetime:
    return datetime.now(UTC)


async def acted(store: Store, cluster: LiveCluster, alert: Alert) -> RunRecord:
    """One run of the agent about this alert, as `replay --live --mode auto` would do it, and its incident closed."""
    queue = InlineQueue()
    runbooks = load_runbooks(SETTINGS)
    (admission,) = await receive(
        [alert],
        sender=Sender(origin=Origin.REPLAY, scope="test", mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=runbooks,
        settings=SETTINGS,
        cluster=cluster,
        now=present(),
    )
    run_id = queue.take()
    assert run_id is not None
    assert admission.incident_id is not None
    record = await run_incident(
        Assignment(run_id=run_id, incident_id=admission.incident_id, alert=alert, scope="test", mode=Mode.AUTO),
        store=store,
        cluster=cluster,
        planner=ScriptedPlanner(),
        runbooks=runbooks,
        settings=SETTINGS,
        clock=present,
    )
    await store.book.resolve(admission.incident_id, by="test", reason=None, now=present())
    return record
