"""`sre-agent show ID`: one incident, the answer first."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sre_agent.cli.options import AsJson, IncidentId

if TYPE_CHECKING:
    from sre_agent.settings import Settings

EPILOG = """\b
Examples:
  sre-agent show 42
  sre-agent show 42 --events
  sre-agent show 42 --llm
  sre-agent show 42 --json"""


def show(
    incident_id: IncidentId,
    events: Annotated[bool, typer.Option("--events", help="The timeline too.")] = False,
    llm: Annotated[bool, typer.Option("--llm", help="What a model was asked and answered, too.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show one incident: what it came to, the steps, the change, the past, the analysis."""
    import asyncio

    from sre_agent.cli.detail import tell_detail
    from sre_agent.cli.output import console, load_settings, print_json

    document = asyncio.run(_read(load_settings(), incident_id))
    if as_json:
        print_json(document)
    else:
        tell_detail(console(), document, timeline=events, llm=llm)
    return 0


async def _read(settings: "Settings", incident_id: int) -> dict[str, Any]:
    from sre_agent import agent
    from sre_agent.views import detail

    async with agent.open_store(settings) as store:
        return await detail(store, incident_id)
