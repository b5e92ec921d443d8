"""`sre-agent snapshot`: what a decision reads of the live cluster, as a directory that `replay` takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sre_agent.cli.options import AsJson, ContextOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sre_agent.cluster.record import File
    from sre_agent.recorder import Recorded, Wanted
    from sre_agent.runbook import Runbooks
    from sre_agent.settings import Settings

EPILOG = """\b
Examples:
  sre-agent snapshot --namespace demo --pod my-app-7d4b9c-x2x -o snapshot
  sre-agent snapshot --namespace demo --workload Deployment/my-app -o snapshot
  sre-agent snapshot --node worker-1 --context staging -o snapshot
  sre-agent snapshot --payload payload.json -o examples/my-incident"""

PAYLOAD = "payload.json"


def snapshot(
    output: Annotated[Path, typer.Option("--output", "-o", help="The directory to write.", metavar="DIR")],
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Of the pod or workload.")] = None,
    pod: Annotated[str | None, typer.Option(help="The pod that the alert is about.", metavar="NAME")] = None,
    workload: Annotated[str | None, typer.Option(help="A workload: Deployment/my-app.", metavar="KIND/NAME")] = None,
    node: Annotated[str | None, typer.Option(help="A node.", metavar="NAME")] = None,
    payload: Annotated[
        Path | None, typer.Option(help="A webhook body: kept beside the objects; alone, it says what to record.")
    ] = None,
    context: ContextOption = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what DIR holds.")] = False,
    as_json: AsJson = False,
) -> int:
    """Record from the live cluster what a decision reads, for `sre-agent replay`.

    Nothing is written to the cluster and no Secret is read. Values of environment variables, passwords and tokens are
    taken out before anything is written. What could not be read is noted, and stays unknown in a replay.
    """
    import asyncio

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.cluster.record import check_free

    settings = load_settings()
    labels = _labels(namespace, pod, workload, node, payload)
    check_free(output, force=force)
    body = None if payload is None else _read(payload)
    wanted = _wanted(labels, body, str(payload), agent.load_runbooks(settings))
    recorded = asyncio.run(_record(context, wanted, settings))
    files = _write(recorded, output, body)
    _tell(recorded, output, files, body is not None, as_json)
    return 0


def _labels(
    namespace: str | None, pod: str | None, workload: str | None, node: str | None, payload: Path | None
) -> dict[str, str] | None:
    """What was asked for, as the labels of an alert; None where the payload says it. Raises BadInput."""
    from sre_agent import recorder
    from sre_agent.errors import BadInput

    given = [option for option, value in (("--pod", pod), ("--workload", workload), ("--node", node)) if value]
    if len(given) > 1 or not (given or payload):
        raise BadInput("say what to record: one of --pod, --workload, --node, or --payload alone")
    if not given or node:
        if namespace:
            raise BadInput("--namespace belongs to --pod and --workload")
        return {"node": node} if node else None
    if not namespace:
        raise BadInput(f"{given[0]} needs --namespace")
    return recorder.labels_of_pod(namespace, pod) if pod else recorder.labels_of_workload(namespace, str(workload))


def _read(payload: Path) -> bytes:
    from sre_agent.errors import BadInput

    try:
        return payload.read_bytes()
    except OSError as error:
        raise BadInput(f"{payload}: cannot be read: {error.strerror}") from error


def _wanted(labels: dict[str, str] | None, body: bytes | None, source: str, runbooks: "Runbooks") -> "Sequence[Wanted]":
    """The alerts to look at: one made of the options, else the payload's that fire. Raises BadInput."""
    from sre_agent.alert import AlertStatus, parse
    from sre_agent.recorder import Wanted, alert_with
    from sre_agent.routing import route
    from sre_agent.runbook import UNKNOWN_ID
    from sre_agent.target import Subject
    from sre_agent.tools.registry import subject_of_runbook

    alerts = () if body is None else parse(body, source=source).alerts
    if labels is not None:
        subject = Subject.NODE if "node" in labels else Subject.WORKLOAD
        return [Wanted(alert=alert_with(labels), subject=subject, runbook=runbooks[UNKNOWN_ID])]
    firing = [alert for alert in alerts if alert.status is AlertStatus.FIRING]
    routed = [(alert, route(alert.labels, runbooks).runbook) for alert in firing]
    return [Wanted(alert=alert, subject=subject_of_runbook(book), runbook=book) for alert, book in routed]


async def _record(context: str | None, wanted: "Sequence[Wanted]", settings: "Settings") -> "Recorded":
    """Raises BadInput, Unreachable."""
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.output import say
    from sre_agent.cluster.port import ClusterError
    from sre_agent.errors import Unreachable
    from sre_agent.recorder import record

    async with agent.open_live_cluster(context) as cluster:
        say(f"context {cluster.context} at {cluster.server}")
        try:
            return await record(cluster, wanted, settings=settings, clock=lambda: datetime.now(UTC))
        except ClusterError as error:
            raise Unreachable(f"nothing was recorded: {error}") from error


def _write(recorded: "Recorded", output: Path, body: bytes | None) -> "tuple[File, ...]":
    import json

    from sre_agent import __version__
    from sre_agent.cluster.record import File, write
    from sre_agent.redaction import redact
    from sre_agent.views import target_json

    about = {
        "recorded_by": f"sre-agent {__version__}",
        "targets": [target_json(target) for target in recorded.targets],
    }
    files = write(recorded.recording, output, about=about)
    if body is None:
        return files
    text = json.dumps(redact(json.loads(body.decode("utf-8-sig"))), indent=2, ensure_ascii=False) + "\n"
    (output / PAYLOAD).write_text(text, encoding="utf-8")
    return (*files, File(path=Path(PAYLOAD), text=text))


def _tell(recorded: "Recorded", output: Path, files: "Sequence[File]", example: bool, as_json: bool) -> None:
    """What was recorded, what was not, and how to replay it."""
    from shlex import quote

    from sre_agent.cli.output import print_json, say
    from sre_agent.times import moment_text
    from sre_agent.views import target_json

    replay = (
        f"sre-agent replay {quote(str(output))}"
        if example
        else f"sre-agent replay PAYLOAD --snapshot {quote(str(output))}"
    )
    recording = recorded.recording
    for reason in recorded.unbound:
        say(f"not recorded: {reason}")
    for entry in recording.unread:
        say(f"could not be read: {entry.why}")
    if as_json:
        print_json(
            {
                "directory": str(output),
                "recorded_at": None if recording.recorded_at is None else recording.recorded_at.isoformat(),
                "targets": [target_json(target) for target in recorded.targets],
                "files": [{"path": str(file.path), "objects": file.objects} for file in files],
                "unread": [entry.json for entry in recording.unread],
                "unbound": list(recorded.unbound),
                "replay": replay,
            }
        )
        return
    if recording.recorded_at is not None:
        typer.echo(
            f"recorded {', '.join(target.key for target in recorded.targets)} at {moment_text(recording.recorded_at)}"
        )
    for file in files:
        typer.echo(f"  {file.path}" + ("" if file.objects is None else f"  {file.objects}"))
    typer.echo(f"replay it with: {replay}")
