"""What a row of the timeline says beside its sentence: what was asked and seen, what refused it, what a model did.

Called by `rendering` and `incident_page`. Pure functions over an event as `views` shapes it; whatever is out of its
form says nothing, and its raw JSON stands below.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sre_agent.asked import short_lines, traces_of

MOST_SEEN = 8
LONGEST = 160

Line = Mapping[str, str]


def further(event: Mapping[str, Any]) -> list[Line]:
    """Lines of {what, text}: what was asked and seen, what spoke against it, what a model said, the alert's words."""
    said = event["payload"]
    if event["event_type"] == "webhook_received":
        return list(_of_alert(said))
    if event["event_type"] == "step":
        return [*_of_step(said), *_of_model(said)]
    return list(_of_model(said)) if event["event_type"] == "analysis" else []


def words_of_alert(annotations: Any) -> str | None:
    """What the alert says of itself, in a line; its description, which has the names, before its summary."""
    for name in ("description", "message", "summary"):
        if isinstance(text := _mapping(annotations).get(name), str) and text.strip():
            return _short(text, 2 * LONGEST)
    return None


def _of_alert(said: Mapping[str, Any]) -> Iterator[Line]:
    annotations = _mapping(said.get("annotations"))
    for name in ("summary", "description", "message"):
        if isinstance(text := annotations.get(name), str) and text.strip():
            yield {"what": "says", "text": _short(text)}
            return


def _of_step(said: Mapping[str, Any]) -> Iterator[Line]:
    if isinstance(gate := said.get("gate"), str) and gate:
        yield {"what": "only if", "text": _short(gate.removeprefix("when "))}
    if asked := _pairs(_mapping(said.get("arguments"))):
        yield {"what": "asked", "text": asked}
    result = _mapping(said.get("result"))
    if "diff" not in result and (seen := _pairs(result)):
        yield {"what": "saw", "text": seen}
    for judgement in said.get("judgements") or ():
        if not isinstance(judgement, Mapping) or judgement.get("verdict") == "allow":
            continue
        allowed = f"; allowed by: {judgement['allowed_by']}" if judgement.get("allowed_by") else ""
        reason = _short(f"{judgement.get('reason')}{allowed}")
        yield {"what": f"{judgement.get('rule')} says {judgement.get('verdict')}", "text": reason}


def _of_model(said: Mapping[str, Any]) -> Iterator[Line]:
    for trace in traces_of(said):
        yield from ({"what": "LLM", "text": line.removeprefix("LLM ")} for line in short_lines(trace))


def _pairs(values: Mapping[str, Any]) -> str:
    """The plain values among these, as `name value`; what is nested stands in the JSON."""
    shown = []
    for name, value in values.items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, list) and value and all(isinstance(each, str | int) for each in value):
            value = ", ".join(map(str, value))
        if isinstance(value, str | int | float) and str(value).strip():
            shown.append(f"{name} {_short(str(value))}")
    return " · ".join(shown[:MOST_SEEN])


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _short(text: str, most: int = LONGEST) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
