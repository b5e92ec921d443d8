"""`sre-agent replay --incident ID`: the new run as a story, then what it decided otherwise than the stored one."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from sre_agent.replay_incident import Replayed
    from sre_agent.run import Mode
    from sre_agent.runbook import Runbooks
    from sre_agent.settings import Settings

ABSENT = "none"


async def tell_again(
    incident_id: int, *, settings: "Settings", runbooks: "Runbooks", mode: "Mode | None", as_json: bool
) -> int:
    """Replays a stored incident and prints it. Returns 1 where the new run failed, as every replay does."""
    from sre_agent.cli.output import console, print_json, say
    from sre_agent.cli.story import tell, tell_skipped
    from sre_agent.replay_incident import replay_incident
    from sre_agent.run import RunRecord, RunStatus

    replayed = await replay_incident(incident_id, settings=settings, runbooks=runbooks, mode=mode)
    result = replayed.result
    if as_json:
        print_json(_document(replayed))
    else:
        out = console()
        say(f"incident {incident_id}, run {replayed.stored.run_id}, on the evidence of then")
        if isinstance(result, RunRecord):
            tell(out, result)
        else:
            tell_skipped(out, result)
        _tell_differences(out, replayed)
    return 1 if isinstance(result, RunRecord) and result.status is RunStatus.FAILED else 0


def _document(replayed: "Replayed") -> dict[str, Any]:
    """The document of every replay, each run with `differences` and what it was `replayed` from."""
    from sre_agent.run import RunRecord
    from sre_agent.views import run_json, skipped_json

    stored, result = replayed.stored, replayed.result
    more = {
        "differences": [{"what": one.what, "before": one.before, "now": one.now} for one in replayed.differences],
        "replayed": {
            "incident_id": stored.incident_id,
            "run_id": str(stored.run_id),
            "mode": stored.mode.value,
            "settings": {name: {"then": then, "today": today} for name, (then, today) in _settings(replayed)},
            "incomplete": stored.missing,
            "later_runs": stored.later_runs,
        },
    }
    if isinstance(result, RunRecord):
        return {"runs": [run_json(result) | more], "skipped": []}
    return {"runs": [], "skipped": [skipped_json(result) | more]}


def _tell_differences(out: "Console", replayed: "Replayed") -> None:
    from rich.text import Text

    from sre_agent.cli.story import line, wrapped

    out.rule(Text(" what is different ", "bold"), characters="─")
    if replayed.stored.later_runs:
        line(out, "not the last", f"{replayed.stored.later_runs} later run(s) of the incident left no evidence")
    if replayed.stored.missing is not None:
        line(out, "incomplete", f"{replayed.stored.missing}; what they would have said is unknown here")
    for name, (then, today) in _settings(replayed):
        line(out, "setting", f"{name} as it was, {then or 'its default'}; today {today or 'its default'}")
    if not replayed.differences:
        line(out, "decision", "nothing is different")
    for one in replayed.differences:
        wrapped(out, one.what, first="  ", rest="    ")
        for sign, value, style in (("-", one.before, "red"), ("+", one.now, "green")):
            for text in _shown(value):
                wrapped(out, text, first=f"    {sign} ", rest="      ", style=style)
    out.print()


def _settings(replayed: "Replayed") -> list[tuple[str, tuple[str | None, str | None]]]:
    return list(replayed.stored.changed_settings.items())


def _shown(value: Any) -> list[str]:
    """A value for people: text as it is, a target or a step as its members, each write by itself."""
    if value is None or value == []:
        return [ABSENT]
    if isinstance(value, list):
        return [_write(write) for write in value]
    if isinstance(value, dict):
        return [", ".join(f"{name} {member}" for name, member in sorted(value.items()) if member is not None)]
    return [str(value)]


def _write(write: dict[str, Any]) -> str:
    """One request on one line, whatever the order in which its members were kept."""
    resource = "/".join(filter(None, (write["resource"], write["subresource"])))
    place = "/".join(filter(None, (write["namespace"], write["name"])))
    return f"{write['verb']} {resource} {place} {json.dumps(write['body'], ensure_ascii=False, sort_keys=True)}"
