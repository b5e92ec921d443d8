"""What is true of a history, summed up naively, and what a text claims: both as {pattern: values}."""

import re
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.analysis.histories import DAY, HOUR, MINUTE, History, Played

Claims = dict[str, tuple[Any, ...]]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DATE = r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC"
EVENT = r"(?: \[event \d+\])+"


def said(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def truth(history: History) -> Claims:
    """Every claim that an analysis of the last incident must make, and no other."""
    incidents, last = history.incidents, history.last
    total = len(incidents)
    true: Claims = {}
    if total == 1:
        true["first"] = ()
    else:
        apart = last.at - incidents[0].at
        length = apart // DAY if apart >= 2 * DAY else apart // HOUR if apart >= 2 * HOUR else apart // MINUTE
        true["fired"] = (total, length, said(incidents[0].at), said(last.at))
    for part in (_raised, _rose, _undone, _tried, _deploys):
        true |= part(incidents)
    true |= _nodes(history)
    recent = [played for played in incidents if played.at >= last.at - DAY]
    if len(recent) >= 4:
        true["flapping"] = (len(recent), said(recent[0].at))
    true |= _calendar(incidents)
    recommended = [played for played in incidents if played.recommended]
    if len(recommended) >= 3:
        true["recommended"] = (len(recommended), said(recommended[0].at))
    same_alert = [played for played in [*incidents, *history.others] if played.alertname == last.alertname]
    if len(same_alert) > total:
        since = min(played.at for played in same_alert)
        true["total"] = (len(same_alert), history.cluster, said(since))
    return true


def _raised(incidents: list[Played]) -> Claims:
    chain: list[tuple[str, str]] = []
    for step in [played.raised for played in incidents if played.raised]:
        chain = [*chain, step] if chain and chain[-1][1] == step[0] else [step]
    if len(chain) < 3:
        return {}
    return {"raised": (len(chain), " → ".join([chain[0][0], *(after for _, after in chain)]))}


SIZES = ("128Mi", "256Mi", "512Mi", "700Mi", "1Gi", "2Gi", "4Gi")


def _rose(incidents: list[Played]) -> Claims:
    values: list[str] = []
    for played in incidents:
        if played.found and values and SIZES.index(played.found) < SIZES.index(values[-1]):
            values = []
        if played.found and played.found not in values[-1:]:
            values.append(played.found)
    return {"rose": (" → ".join(values),)} if len(values) > 3 and not _raised(incidents) else {}


def _undone(incidents: list[Played]) -> Claims:
    cases, set_to = [], None
    for played in incidents:
        if set_to and played.found == set_to[0]:
            cases.append((set_to[1], played.found, said(played.at)))
        set_to = played.raised or set_to
    return {"undone": (len(cases), *cases[-1])} if cases else {}


def _tried(incidents: list[Played]) -> Claims:
    by_tool: dict[str, list[tuple[datetime, bool]]] = {}
    for played, following in pairwise(incidents):
        if played.tool:
            again = following.at <= played.acted_at + DAY
            by_tool.setdefault(played.tool, []).append((played.acted_at, again))
    useless = {
        tool: uses for tool, uses in sorted(by_tool.items()) if len(uses) >= 2 and all(again for _, again in uses)
    }
    if not useless:
        return {}
    return {"tried": tuple((tool, len(uses)) for tool, uses in useless.items())}


def _deploys(incidents: list[Played]) -> Claims:
    known = [played for played in incidents if played.deployed_at]
    short = [played for played in known if played.deployed_at and _shortly(played, incidents)]
    if len(short) < 2 or len(short) < len(known):
        return {}
    assert short[-1].deployed_at is not None
    return {"deploys": (len(short), len(known), said(short[-1].deployed_at))}


def _shortly(played: Played, incidents: list[Played]) -> bool:
    """Within an hour, and not by the agent's own change."""
    assert played.deployed_at is not None
    own = [other.acted_at for other in incidents if other.tool]
    ours = any(-MINUTE <= played.deployed_at - moment <= 5 * MINUTE for moment in own)
    return played.at - played.deployed_at <= HOUR and not ours


def _nodes(history: History) -> Claims:
    incidents, last = history.incidents, history.last
    true: Claims = {}
    counts = Counter(played.node for played in incidents)
    newest = {played.node: played.at for played in incidents}
    node, times = max(counts.items(), key=lambda entry: (entry[1], newest[entry[0]]))
    flaps = sum(played.at >= last.at - DAY for played in incidents) >= 4
    if times >= 3 and times >= 0.8 * len(incidents) and not (flaps and last.workload is None):
        true["node"] = (times, len(incidents), node) if last.workload else (times, node)
    near = [
        played
        for played in [*incidents, *history.others]
        if played.node == last.node and played.workload and last.at - DAY <= played.at <= last.at
    ]
    workloads = {played.workload for played in near}
    if len(workloads) >= 3:
        true["neighbours"] = (len(workloads), last.node)
    return true


def _calendar(incidents: list[Played]) -> Claims:
    total, true = len(incidents), {}
    best: tuple[int, int, int] | None = None
    for hour in range(24):
        inside = [played for played in incidents if played.at.hour in {hour, (hour + 1) % 24}]
        exact = sum(played.at.hour == hour for played in incidents)
        if best is None or (len(inside), exact) > best[:2]:
            best = (len(inside), exact, hour)
    assert best is not None
    days = {
        (played.at - timedelta(hours=best[2])).date()
        for played in incidents
        if played.at.hour in {best[2], (best[2] + 1) % 24}
    }
    if best[0] >= 5 and best[0] >= 0.8 * total and len(days) >= 4:
        true["hours"] = (best[0], total, f"{best[2]:02}:00", f"{(best[2] + 2) % 24:02}:00", len(days))
    weekdays = Counter(played.at.weekday() for played in incidents)
    times = max(weekdays.values())
    weekday = min(day for day, count in weekdays.items() if count == times)
    weeks = {played.at.isocalendar()[:2] for played in incidents if played.at.weekday() == weekday}
    if times >= 4 and times >= 0.8 * total and len(weeks) >= 3:
        true["weekday"] = (times, total, WEEKDAYS[weekday], len(weeks))
    return true


def claims(text: str) -> Claims:
    """What the history section of an analysis claims."""
    section = text.partition("## Historical pattern & SRE recommendation")[2].partition("## Follow-ups")[0]
    found: Claims = {}

    def read(name: str, pattern: str, *numbers: int) -> None:
        if match := re.search(pattern, section):
            found[name] = tuple(int(value) if place in numbers else value for place, value in enumerate(match.groups()))

    read("first", r"the first recorded occurrence()")
    if "first" in found:
        found["first"] = ()
    read(
        "fired",
        rf"fired (\d+) times on .*? in (\d+) \w+: first at {DATE}{EVENT}, last at {DATE}{EVENT}\.",
        0,
        1,
    )
    read("raised", r"limit of container `app` was raised (\d+) times: ([^.]*)\.", 0)
    if "raised" in found:
        count, chain = found["raised"]
        found["raised"] = (count, re.sub(r" \[event \d+\]|`", "", chain))
    read("rose", r"limit of container `app` was found ever higher: ([^.]*)\.")
    if "rose" in found:
        found["rose"] = (re.sub(r" \[event \d+\]|`", "", found["rose"][0]),)
    read(
        "undone",
        rf"did `[^`]*→([^`]*)`{EVENT}, but `([^`]*)`, which had stood there before, was found again at {DATE}{EVENT}\."
        rf"(?: Changes were undone (\d+) times in all{EVENT}\.)?",
    )
    if "undone" in found:
        *values, count = found["undone"]
        found["undone"] = (int(count or 1), *values)
    if uses := re.search(r"The alert came back within 24h each time: ([^.]*)\.", section):
        found["tried"] = tuple(
            (tool, int(times)) for times, tool in re.findall(rf"(\d+) times after `(\w+)`{EVENT}", uses[1])
        )
    read("deploys", rf"(\d+) of (\d+) occurrences? with a known deploy .*? at {DATE}{EVENT}\.", 0, 1)
    read("neighbours", r"(\d+) workloads had incidents on node `([^`]+)`", 0)
    read("node", r"(\d+) of (\d+) occurrences with a known node were on node `([^`]+)`", 0, 1)
    if again := re.search(r"the same node again and again: `([^`]+)`, (\d+) times so far", section):
        found["node"] = (int(again[2]), again[1])
    read("flapping", rf"it came (\d+) times within 24h, the first of them at {DATE}{EVENT}", 0)
    read("hours", r"(\d+) of (\d+) occurrences began between (\d\d:\d\d) and (\d\d:\d\d) UTC, on (\d+) days", 0, 1, 4)
    read("weekday", r"(\d+) of (\d+) occurrences began on a (\w+) \(UTC\), in (\d+) weeks", 0, 1, 3)
    read("recommended", rf"recommended a change (\d+) times without making one, first at {DATE}{EVENT}; whether", 0)
    read("total", rf"opened (\d+) incidents in cluster `([^`]+)` since {DATE}{EVENT}", 0)
    return found
