"""The recorded incidents as cases, and what a model might answer about them: prose of `model_answers/`, filled in."""

import asyncio
import contextlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from string import Template

import pytest

from sre_agent.analysis.facts import CaseFacts, gather
from sre_agent.cli.main import run
from sre_agent.event import EventType
from sre_agent.resources import data_path
from sre_agent.store import Store

ANSWERS = sorted((Path(__file__).parent / "model_answers").glob("*.md"))
LATER = datetime.max.replace(tzinfo=UTC)


def play_example(conninfo: str, example: str, mode: str) -> int:
    """Plays an example and returns the number of its last incident."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setenv("DATABASE_URL", conninfo)
        run(["replay", str(data_path("examples") / example), "--mode", mode, "--json"])
    said.seek(0)
    number: int = json.loads(said.read())["runs"][-1]["incident_id"]
    return number


def case_of(conninfo: str, number: int) -> CaseFacts:
    async def read() -> CaseFacts:
        async with Store.open(conninfo) as store:
            return await gather(store, await store.book.find(number), now=LATER)

    return asyncio.run(read())


def filled(answer: str, case: CaseFacts) -> str:
    """An answer with the events of a case: `$opened`, `$STEP`, `$intent_TOOL`, `$raise_1`, `$final` and so on."""
    return Template(answer).substitute(places(case))


def places(case: CaseFacts) -> dict[str, str]:
    found = {
        "number": case.incident.id,
        "opened": case.opened_by.id if case.opened_by else 0,
        "final": case.final.id if case.final else 0,
        "first": case.past.first.event_id,
    }
    found |= {step.payload["step"]: step.id for step in case.steps}
    tools = {}
    for event in case.of_run(EventType.INTENT):
        tools[event.payload["action_id"]] = event.payload["tool"]
        found[f"intent_{event.payload['tool']}"] = event.id
    found |= {f"outcome_{tools[event.payload['action_id']]}": event.id for event in case.of_run(EventType.OUTCOME)}
    for event in case.of_run(EventType.ESCALATED):
        found["escalated"] = event.id
    found |= {f"raise_{place}": step.event_id for place, step in enumerate(case.past.raises, start=1)}
    return {name: str(value) for name, value in found.items()}
