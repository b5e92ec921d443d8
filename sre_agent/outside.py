"""What those outside the database say about acting: the stop switch of the cluster, and whether Alertmanager answers.

Asked for the status, where they are configured. Protects one rule: a status is told although nobody answers, within
ASKED_SECONDS.
"""

import asyncio
from dataclasses import dataclass

from sre_agent.cluster.port import Cluster
from sre_agent.settings import Settings
from sre_agent.stop_switch import StopSwitch, read_switch, switch_place

ASKED_SECONDS = 2.0
"""How long a person who looks waits for either of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """What they answered. None stands for what is not configured.

    `place` is the cluster in words; `alertmanager` why Alertmanager cannot be asked, empty where it answers. `acts`:
    whoever asked changes things itself, so that what it cannot reach holds its own changes back.
    """

    switch: StopSwitch | None = None
    place: str = ""
    alertmanager: str | None = None
    acts: bool = True


UNASKED = Outside()


async def ask_outside(settings: Settings, cluster: Cluster | None, *, place: str, acts: bool) -> Outside:
    """Asks both at once. `cluster` None: none is configured."""
    switch, alertmanager = await asyncio.gather(_switch(settings, cluster), _alertmanager(settings))
    return Outside(switch=switch, place=place, alertmanager=alertmanager, acts=acts)


async def _switch(settings: Settings, cluster: Cluster | None) -> StopSwitch | None:
    if cluster is None:
        return None
    try:
        async with asyncio.timeout(ASKED_SECONDS):
            return await read_switch(cluster, settings.agent_namespace)
    except TimeoutError:
        return unread_switch(settings, f"no answer within {ASKED_SECONDS:g} s")


def unread_switch(settings: Settings, why: str) -> StopSwitch:
    """The switch of a cluster that cannot be asked."""
    return StopSwitch(place=switch_place(settings.agent_namespace), thrown=None, why=why)


async def _alertmanager(settings: Settings) -> str | None:
    if settings.alertmanager_url is None:
        return None
    from sre_agent.alertmanager import why_unreachable  # an HTTP client, which is not asked for without the setting

    return await why_unreachable(settings, within=ASKED_SECONDS) or ""
