"""`sre-agent replay`: a saved payload through the executor, told as a story or as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sre_agent.cli.options import PlannerOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sre_agent.cluster.port import Cluster
    from sre_agent.parts import Part
    from sre_agent.run import Mode, Skipped
    from sre_agent.runbook import Runbooks
    from sre_agent.settings import Settings

EPILOG = """\b
Examples:
  sre-agent replay examples/oom-killed
  sre-agent replay examples/oom-killed --mode auto --json
  sre-agent replay payload.json --snapshot cluster.yaml
  sre-agent replay - --snapshot cluster.yaml < payload.json
  sre-agent replay payload.json --live --context staging
  sre-agent replay --incident 42 --runbooks my-runbooks"""


def replay(
    payload: Annotated[
        list[str] | None,
        typer.Argument(help="A webhook body, a directory of examples/, or - for stdin.", metavar="PAYLOAD"),
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="Recorded objects: a YAML or JSON file, or a directory of them.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="The real cluster, for payloads without a recording.")] = False,
    context: Annotated[str | None, typer.Option(help="With --live: the kubeconfig's context.", metavar="NAME")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --live and --mode auto: do not ask.")] = False,
    assume_firing: Annotated[
        bool, typer.Option("--assume-firing", help="With --live: take alerts older than 24 h as still firing.")
    ] = False,
    mode: Annotated[
        Literal["recommend", "auto"] | None, typer.Option(help="Default: AGENT_MODE, else recommend.")
    ] = None,
    planner: PlannerOption = None,
    runbooks: Annotated[Path | None, typer.Option(help="A directory with your own runbooks.")] = None,
    incident: Annotated[
        int | None,
        typer.Option(help="A stored incident instead of PAYLOAD, on the evidence it left.", metavar="ID"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of the story.")] = False,
) -> int:
    """Replay saved alerts on recorded objects, or a stored incident on its evidence.

    The recording is --snapshot, else cluster.yaml, cluster.json or cluster/ beside the payload. Without one the
    plan is printed and nothing is stored. Recorded files are never changed.

    With --live a payload without a recording meets the real cluster, like a webhook. Nothing is written there unless
    --mode auto is given too, and then the context is shown and you are asked.

    With --incident the mode is that of its run unless --mode says otherwise, and what the run decided otherwise
    then is printed too.
    """
    import asyncio
    from dataclasses import replace

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.cli.replay_incident import tell_again
    from sre_agent.cli.replay_live import live_cluster
    from sre_agent.errors import BadInput
    from sre_agent.parts import load_parts
    from sre_agent.run import Mode

    settings = load_settings()
    settings = replace(settings, planner=planner or settings.planner)
    agent.check_settings(settings)
    known = agent.load_runbooks(settings, runbooks)
    if incident is not None:
        if payload or snapshot or live:
            raise BadInput("--incident brings its own alert and evidence: leave PAYLOAD, --snapshot and --live out")
        chosen = None if mode is None else Mode(mode)
        return asyncio.run(tell_again(incident, settings=settings, runbooks=known, mode=chosen, as_json=as_json))
    if not payload:
        raise BadInput("nothing to replay: give PAYLOAD... or --incident ID")
    if not live and (context or yes or assume_firing):
        raise BadInput("--context, --yes and --assume-firing belong to --live")
    if live and snapshot:
        raise BadInput("--snapshot and --live exclude each other: give one cluster")
    parts = load_parts(payload, snapshot=snapshot)
    # On the real cluster AGENT_MODE is not enough: whoever types the command says so.
    wanted = Mode(mode or ("recommend" if live else settings.agent_mode))

    async def played() -> int:
        if not live:
            return await _play(parts, None, settings, known, wanted, as_json=as_json)
        async with live_cluster(parts, context, settings, wanted, yes=yes, assume_firing=assume_firing) as cluster:
            return await _play(parts, cluster, settings, known, wanted, assume_firing=assume_firing, as_json=as_json)

    return asyncio.run(played())


async def _play(
    parts: "Sequence[Part]",
    live: "Cluster | None",
    settings: "Settings",
    runbooks: "Runbooks",
    mode: "Mode",
    *,
    as_json: bool,
    assume_firing: bool = False,
) -> int:
    from contextlib import aclosing

    from sre_agent.cli.output import console, print_json, say
    from sre_agent.cli.story import tell, tell_skipped
    from sre_agent.errors import Unreachable
    from sre_agent.replay import replay
    from sre_agent.run import RunRecord, RunStatus
    from sre_agent.views import run_json, skipped_json

    runs: list[RunRecord] = []
    skipped: list[Skipped] = []
    out, told = console(), 0
    # Closed here: output that fails in between must not leave the store's connections to the garbage collector.
    played = replay(parts, settings=settings, runbooks=runbooks, mode=mode, live=live, assume_firing=assume_firing)
    async with aclosing(played) as results:
        async for part, result in results:
            if not as_json and parts.index(part) >= told:
                told = parts.index(part) + 1
                say(f"[{told}/{len(parts)}] {part.source}")
            if isinstance(result, RunRecord):
                runs.append(result)
                if not as_json:
                    tell(out, result)
            else:
                skipped.append(result)
                if not as_json:
                    tell_skipped(out, result)
    if as_json:
        print_json({"runs": [run_json(run) for run in runs], "skipped": [skipped_json(entry) for entry in skipped]})
    failed = [run for run in runs if run.status is RunStatus.FAILED]
    if any(run.barred for run in failed):
        return Unreachable.exit_code
    return 1 if failed else 0
