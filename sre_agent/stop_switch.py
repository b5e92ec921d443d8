"""The stop switch: a ConfigMap in the agent's namespace. While it is there, no write begins.

Read for each judgement by `facts`, and right before each write by `leave`; whoever can create one object in that
namespace can stop every replica at once, with kubectl alone. Protects one rule: a switch that cannot be read counts as
thrown.
"""

from dataclasses import dataclass

from sre_agent.cluster.port import Cluster, ClusterError, Forbidden, NotFound, Resource
from sre_agent.objects import Object

RULE = "stop-switch"
NAME = "sre-agent-stop"
RELEASED = "false"


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSwitch:
    """How the switch stands: `thrown` True or False, None where it could not be read.

    `why` is what whoever threw it says, or why it could not be read; `passing` says that trying again may help.
    """

    place: str
    thrown: bool | None
    why: str | None = None
    passing: bool = False

    @property
    def reason(self) -> str | None:
        """What it has against a change; None where it lets it pass."""
        if self.thrown is False:
            return None
        said = f": {self.why}" if self.why else ""
        if self.thrown is None:
            return f"whether the ConfigMap {self.place} stops the agent could not be read{said}"
        return f"the ConfigMap {self.place} stops the agent{said}"


def switch_place(namespace: str) -> str:
    """NAMESPACE/NAME of the switch."""
    return f"{namespace}/{NAME}"


async def read_switch(cluster: Cluster, namespace: str) -> StopSwitch:
    """One request, by name. A switch that is not there, or whose `data.stop` is "false", is not thrown."""
    place = switch_place(namespace)
    try:
        found = await cluster.get(Resource.CONFIG_MAPS, namespace, NAME)
    except NotFound:
        return StopSwitch(place=place, thrown=False)
    except ClusterError as error:
        return StopSwitch(place=place, thrown=None, why=str(error), passing=not isinstance(error, Forbidden))
    data = _data(found)
    return StopSwitch(place=place, thrown=data.get("stop", "").strip() != RELEASED, why=data.get("reason") or None)


def _data(config_map: Object) -> dict[str, str]:
    """Its data, {} where it has none or a recording holds something else."""
    data = config_map.get("data")
    return {str(key): str(value) for key, value in data.items()} if isinstance(data, dict) else {}
