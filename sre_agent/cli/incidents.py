"""`sre-agent incidents`, `suppress` and `resolve`: the list, and a person's word about one of it."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sre_agent.cli.options import LARGEST_ID, AsJson, IncidentId

if TYPE_CHECKING:
    from sre_agent.incident import Incident
    from sre_agent.store.book import Decision, IncidentFilters, Page

EPILOG = """\b
Examples:
  sre-agent incidents
  sre-agent incidents --status open --since 7d
  sre-agent incidents --text "oomkilled checkout" --json
  sre-agent incidents --alert KubeNodeNotReady --limit 200"""
DECISION_EPILOG = 'Example:  sre-agent {} 42 --reason "known, fixed in 1.4"'
MOST = 200

Reason = Annotated[str | None, typer.Option(help="Why; it is kept with your user name.", metavar="TEXT")]


def incidents(
    origin: Annotated[Literal["live", "replay"] | None, typer.Option(help="Default: both, replays marked.")] = None,
    status: Annotated[Literal["open", "resolved", "suppressed"] | None, typer.Option(help="One status.")] = None,
    alert: Annotated[str | None, typer.Option(help="One alert name.", metavar="NAME")] = None,
    namespace: Annotated[str | None, typer.Option(help="One namespace.", metavar="NAME")] = None,
    node: Annotated[str | None, typer.Option(help="One node.", metavar="NAME")] = None,
    severity: Annotated[str | None, typer.Option(help="One severity.", metavar="NAME")] = None,
    runbook: Annotated[str | None, typer.Option(help="One runbook.", metavar="RB_ID")] = None,
    since: Annotated[
        str | None, typer.Option(help="Updated since a date, a date and time, or 7d.", metavar="WHEN")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Beginnings of words in alert, namespace, pod, workload, node, summary.", metavar="WORDS"),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=MOST)] = 50,
    offset: Annotated[int, typer.Option(help="How many to leave out first.", min=0, max=LARGEST_ID)] = 0,
    cursor: Annotated[str | None, typer.Option(help="The next_cursor of the page before.", metavar="CURSOR")] = None,
    as_json: AsJson = False,
) -> int:
    """List incidents, the newest update first: live ones and replays."""
    import asyncio
    from datetime import UTC, datetime

    from sre_agent.cli.moments import parse_moment
    from sre_agent.cli.output import print_json, say
    from sre_agent.incident import IncidentStatus, Origin
    from sre_agent.store.book import IncidentFilters
    from sre_agent.views import page_json

    filters = IncidentFilters(
        origin=None if origin is None else Origin(origin),
        status=None if status is None else IncidentStatus(status),
        alertname=alert,
        namespace=namespace,
        node=node,
        severity=severity,
        runbook_id=runbook,
        since=None if since is None else parse_moment(since, option="--since", now=datetime.now(UTC)),
        text=text,
    )
    page = asyncio.run(_page(filters, limit, cursor, offset))
    if as_json:
        print_json(page_json(page))
        return 0
    _print_table(page)
    if page.next_cursor is not None:
        say(f"more: add --cursor {page.next_cursor}")
    elif not page.incidents:
        asked = filters != IncidentFilters() or cursor is not None or offset
        say("no incident fits" if asked else "no incident is stored yet")
    return 0


def suppress(incident_id: IncidentId, reason: Reason = None, as_json: AsJson = False) -> int:
    """Mute an open incident: no run until it is resolved."""
    return _decide("suppress", "suppressed", incident_id, reason, as_json)


def resolve(incident_id: IncidentId, reason: Reason = None, as_json: AsJson = False) -> int:
    """End an incident; the firing that is under way does not open it again."""
    return _decide("resolve", "resolved", incident_id, reason, as_json)


async def _page(filters: "IncidentFilters", limit: int, cursor: str | None, offset: int) -> "Page":
    from sre_agent import agent
    from sre_agent.cli.output import load_settings

    async with agent.open_store(load_settings()) as store:
        return await store.book.page(filters, limit=limit, cursor=cursor, offset=offset)


def _decide(
    verb: Literal["suppress", "resolve"], state: str, incident_id: int, reason: str | None, as_json: bool
) -> int:
    import asyncio

    from sre_agent.cli.output import print_json
    from sre_agent.views import decision_json

    decision = asyncio.run(_decided(verb, incident_id, reason))
    if as_json:
        print_json(decision_json(decision))
    else:
        typer.echo(f"incident {incident_id} {'is' if decision.changed else 'was already'} {state}")
    return 0


async def _decided(verb: Literal["suppress", "resolve"], incident_id: int, reason: str | None) -> "Decision":
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.output import load_settings

    async with agent.open_store(load_settings()) as store:
        act = store.book.suppress if verb == "suppress" else store.book.resolve
        return await act(incident_id, by=user(), reason=reason, now=datetime.now(UTC))


def user() -> str:
    """Who types; a container may have a user without a name."""
    import getpass
    import os

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def _print_table(page: "Page") -> None:
    """Two lines for each incident, more where a name is long: nothing that a reader may have to copy is cut."""
    from rich.cells import cell_len

    from sre_agent.cli.output import console
    from sre_agent.cli.story import wrapped

    if not page.incidents:
        return
    out = console()
    digits = max(2, *(len(str(incident.id)) for incident in page.incidents))
    rest = " " * (digits + 20)
    wrapped(out, "alert, where", first=f"{'id':>{digits}}  {'updated (UTC)':<16}  ", rest=rest)
    wrapped(out, "status, severity, runbook: what was done", first=rest, rest=rest)
    for incident in page.incidents:
        first = f"{incident.id:>{digits}}  {incident.updated_at:%Y-%m-%d %H:%M}  "
        name = f"{incident.alertname or 'alert without a name'}  {where(incident)}"
        wrapped(out, name, first=first, rest=rest, style="bold")
        about, done = f"{how_it_stands(incident)}:", what_was_done(incident)
        fits = cell_len(f"{rest}{about} {done}") <= out.width
        for text in (f"{about} {done}",) if fits else (about, done):
            wrapped(out, text, first=rest, rest=rest, style=_SEVERITIES.get(incident.severity or "", "dim"))


def how_it_stands(incident: "Incident") -> str:
    """Status, severity and runbook; a replay is marked."""
    origin = ["replay"] if incident.origin.value == "replay" else []
    about = [incident.status.value, *origin, incident.severity or "no severity", incident.runbook_id or "no runbook"]
    return ", ".join(about)


def where(incident: "Incident") -> str:
    """The place that a reader looks for first: pod, else workload, else node."""
    name = incident.pod or incident.workload
    if name:
        return f"{incident.namespace}/{name}" if incident.namespace else name
    return incident.node or incident.namespace or ""


def what_was_done(incident: "Incident") -> str:
    """✓ taken, → recommended, ✗ errored; or that there was nothing."""
    marked = (("✗", incident.action_error), ("✓", incident.action_taken), ("→", incident.action_recommended))
    said = " ".join(f"{mark} {action}" for mark, action in marked if action)
    return said or ("nothing done" if incident.summary else "no run has ended")


_SEVERITIES = {"critical": "red", "warning": "yellow"}
