"""`sre-agent pause`, `resume` and `status`: a person's stop and go, and what holds the agent back right now."""

from typing import TYPE_CHECKING, Annotated

import typer

from sre_agent.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sre_agent.outside import Outside
    from sre_agent.settings import Settings
    from sre_agent.status import ModelStatus, Status
    from sre_agent.store import Pause

PAUSE_EPILOG = """\b
Examples:
  sre-agent pause --reason "database upgrade" --until 2h
  sre-agent pause --until 2026-11-23T06:00"""
RESUME_EPILOG = "Example:  sre-agent resume"
STATUS_EPILOG = """\b
Examples:
  sre-agent status
  sre-agent status --json | jq '.brakes[] | select(.on)'"""


def pause(
    reason: Annotated[str | None, typer.Option(help="Why; it is told with every change held back.")] = None,
    until: Annotated[
        str | None, typer.Option(help="A date, a date and time, or for how long: 90m, 2h.", metavar="WHEN")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Stop every change, until WHEN or until `resume`.

    It holds for every process on this database, whatever its cluster. Within seconds nothing more is written, also by
    runs that are under way; a drain stops evicting. Alerts are still taken in, and what would have been done is looked
    at again afterwards.
    """
    import asyncio
    from datetime import UTC, datetime

    from sre_agent.cli.moments import parse_end
    from sre_agent.cli.output import print_json
    from sre_agent.status import pause_json
    from sre_agent.times import moment_text

    now = datetime.now(UTC)
    end = None if until is None else parse_end(until, option="--until", now=now)
    standing = asyncio.run(_pause(reason, end, now))
    if as_json:
        print_json({"pause": pause_json(standing)})
    else:
        ends = "sre-agent resume" if standing.until is None else f"{moment_text(standing.until)} or sre-agent resume"
        typer.echo(f"paused: nothing is changed until {ends}")
    return 0


def resume(as_json: AsJson = False) -> int:
    """End every pause.

    Runs that were put off because of one look again now.
    """
    import asyncio

    from sre_agent.cli.output import print_json
    from sre_agent.guards.brakes import pause_text
    from sre_agent.redaction import redact_text
    from sre_agent.status import pause_json

    ended = asyncio.run(_resume())
    if as_json:
        print_json({"ended": [pause_json(entry) for entry in ended]})
        return 0
    for entry in ended:
        typer.echo(f"ended: {redact_text(pause_text(entry))}")
    typer.echo("resumed" if ended else "nobody had paused the agent")
    return 0


def status(as_json: AsJson = False) -> int:
    """Show what holds changes back right now.

    Each brake with its reason and end, and the runs that wait or run. Where a cluster is configured its stop switch is
    looked at, too, and Alertmanager is asked where the agent would ask it; who does not answer is not waited for.
    """
    import asyncio

    from sre_agent.cli.output import print_json
    from sre_agent.status import status_json

    found = asyncio.run(_status())
    if as_json:
        print_json(status_json(found))
    else:
        _print(found)
    return 0


async def _pause(reason: str | None, until: "datetime | None", now: "datetime") -> "Pause":
    from sre_agent import agent
    from sre_agent.cli.incidents import user
    from sre_agent.cli.output import load_settings

    async with agent.open_store(load_settings()) as store:
        return await store.brakes.pause(by=user(), reason=reason, until=until, now=now)


async def _resume() -> "Sequence[Pause]":
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.incidents import user
    from sre_agent.cli.output import load_settings

    async with agent.open_store(load_settings()) as store:
        return await store.brakes.resume(by=user(), now=datetime.now(UTC))


async def _status() -> "Status":
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.status import read_status

    settings = load_settings()
    runbooks, fault = agent.load_what_works(settings)
    async with agent.open_store(settings) as store:
        outside = await _outside(settings)
        return await read_status(store, settings, runbooks, fault=fault, outside=outside, now=datetime.now(UTC))


async def _outside(settings: "Settings") -> "Outside":
    """What the cluster of this shell and Alertmanager say. The processes that act may reach others, or reach more."""
    from dataclasses import replace

    from sre_agent import agent
    from sre_agent.errors import Unreachable
    from sre_agent.outside import ask_outside, unread_switch

    if not agent.cluster_configured(None):
        return await ask_outside(settings, None, place="", acts=False)
    try:
        async with agent.open_live_cluster(None, probing=False) as cluster:
            place = f"context {cluster.context} at {cluster.server}"
            return await ask_outside(settings, cluster, place=place, acts=False)
    except Unreachable as error:
        unread = unread_switch(settings, str(error))
        return replace(await ask_outside(settings, None, place="the cluster of this shell", acts=False), switch=unread)


NAME_COLUMNS = 17


def _print(found: "Status") -> None:
    """One line for each brake, more where a reason is long; then the work."""
    from sre_agent.cli.output import console
    from sre_agent.cli.story import wrapped
    from sre_agent.times import moment_text

    out, work = console(), found.work

    def line(name: str, what: str, *, style: str = "") -> None:
        wrapped(out, what, first=f"{name:<{NAME_COLUMNS}}", rest=" " * NAME_COLUMNS, style=style)

    line("mode", f"{found.mode}, cluster {found.cluster}")
    for brake in found.brakes:
        until = "" if brake.until is None else f"; until {moment_text(brake.until)}"
        state = {True: "ON", False: "off", None: "unknown"}[brake.on]
        line(brake.name, f"{state}: {brake.what}{until}", style="bold red" if brake.on else "")
    if found.runbooks_fault is not None:
        line("runbooks", f"refused, older ones are used: {found.runbooks_fault}", style="bold red")
    line("LLM", _model(found.llm))
    line("queued runs", _counted(work.queued, work.oldest_queued_at, found.at))
    line("running runs", _counted(work.running, work.oldest_started_at, found.at))
    line("last alert", "none yet" if work.last_alert_at is None else moment_text(work.last_alert_at))


def _model(llm: "ModelStatus") -> str:
    """The model, and what it was asked today of what it may be asked."""
    from sre_agent.asked import money

    today = llm.today
    cost = f", cost {money(today.cost)}" if today.cost or llm.cost_per_day is not None else ""
    most = f" of {money(llm.cost_per_day)}" if llm.cost_per_day is not None else ""
    asked = f"{today.calls:,} calls today, {today.tokens:,} of {llm.tokens_per_day:,} tokens{cost}{most}"
    if llm.name is None:
        return f"none is asked: scripted{f'; {asked}' if today.calls else ''}"
    return f"{llm.name}: {asked}{'; looks into alerts without a runbook' if llm.investigates else ''}"


def _counted(number: int, oldest: "datetime | None", now: "datetime") -> str:
    from datetime import timedelta

    from sre_agent.times import duration_text

    if oldest is None:
        return str(number)
    return f"{number}, the oldest for {duration_text(max(now - oldest, timedelta(0)))}"
