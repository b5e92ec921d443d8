"""Three hundred random histories with a known truth: what is written about them is true, and nothing is left out."""

import asyncio
import re

import pytest
from psycopg.conninfo import make_conninfo

from sre_agent.analysis.checker import check
from sre_agent.analysis.composer import compose
from sre_agent.analysis.facts import gather
from sre_agent.store import Store
from tests.analysis.histories import DAY, History, make, play
from tests.analysis.truth import claims, said, truth

HISTORIES = 300
AT_ONCE = 4


async def judged(store: Store, seed: int) -> tuple[History, str, list[str]]:
    """A history, the text about its last incident, and what is wrong with it."""
    history = make(seed)
    incident = await play(store, history)
    case = await gather(store, incident, now=history.last.acted_at)
    text = compose(case)
    wrong = [f"{fault.kind}: {fault.said!r}: {fault.reason}" for fault in check(text, case)]
    if claims(text) != truth(history):
        wrong.append(f"claims {claims(text)}, true is {truth(history)}")
    wrong += strangers(history, text)
    return history, text, wrong


def strangers(history: History, text: str) -> list[str]:
    """Dates, names and events of the text that are not of this history."""
    played = [*history.incidents, *history.others]
    moments = {said(moment) for each in played for moment in (each.at, each.acted_at, each.deployed_at) if moment}
    moments |= {said(each.at - (each.acted_at - each.at) * 2) for each in played}
    found = [date for date in re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", text) if date not in moments]
    events = {event for each in played for event in each.events}
    found += [event for event in re.findall(r"\[event (\d+)\]", text) if int(event) not in events]
    names = {name for each in played for name in (each.node, each.pod) if name}
    found += [name for name in re.findall(r"(?:worker|app|other)-\d+-\w+", text) if name not in names]
    return found + unproven(history, text)


def unproven(history: History, text: str) -> list[str]:
    """Claims of the past that name an event of another incident, and neighbours that are none."""
    incidents, last, found = history.incidents, history.last, []
    if fired := re.search(r"first at [^\[]*\[event (\d+)\], last at [^\[]*\[event (\d+)\]", text):
        found += [fired[0]] if (int(fired[1]), int(fired[2])) != (incidents[0].events[0], last.events[0]) else []
    of_raise = {played.raised[1]: played.events for played in incidents if played.raised}
    chain = re.search(r"was raised \d+ times: ([^.]*)\.", text)
    for value, event in re.findall(r"`(\w+)` \[event (\d+)\]", chain[1] if chain else ""):
        found += [] if int(event) in of_raise[value] else [f"{value} by event {event}"]
    near = {
        f"{history.namespace}/{played.workload}"
        for played in [*incidents, *history.others]
        if played.node == last.node and last.at - DAY <= played.at <= last.at
    }
    named = re.search(r"workloads had incidents on node [^:]*: ([^.]*)\.", text)
    return found + [name for name in re.findall(r"`([^`]*)`", named[1] if named else "") if name not in near]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_three_hundred_histories_are_told_without_a_wrong_word(database: str) -> None:
    faults, seen = [], set()
    unhurried = make_conninfo(database, options="-c synchronous_commit=off")  # nothing here has to outlive a crash
    async with Store.open(unhurried) as store:
        for first in range(0, HISTORIES, AT_ONCE):
            seeds = range(first, min(first + AT_ONCE, HISTORIES))
            for history, text, wrong in await asyncio.gather(*(judged(store, seed) for seed in seeds)):
                seen |= truth(history).keys()
                if wrong:
                    faults.append(f"history {history.number}: {wrong}\n{text}")
    assert not faults, f"{len(faults)} wrong\n" + "\n".join(faults[:3])
    assert seen == {
        "first", "fired", "raised", "rose", "undone", "tried", "deploys", "neighbours", "node", "flapping", "hours",
        "weekday", "recommended", "total",
    }  # fmt: skip
