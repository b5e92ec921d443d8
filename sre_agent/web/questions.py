"""What a person asks after the answer: what is next for me, did it help, was it here before.

Called by `incident_page`. Pure functions over the document that the API answers and the counts of its past; the words
are those of the terminal, and of the TUI.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sre_agent.sentences import did_it_help, is_same, mark_of, moment, what_next
from sre_agent.store.history_rows import PatternFacts

Document = Mapping[str, Any]
Question = Mapping[str, str | None]

_MOST_SIMILAR = 50


def questions(
    document: Document, *, running: str | None, again_at: datetime | None, past: PatternFacts
) -> list[Question]:
    """Each as {asked, told, href, link}.

    `running` is the status of a run under way, None without one; `again_at` is when another one follows by itself.
    """
    following = what_next(document) if running is None else f"Wait for the run to end: it is {running}."
    if running is None and again_at is not None:
        following += f" The agent looks again by itself at {moment(again_at.isoformat())}."
    told, href, link = _before(document, past)
    asked = (
        {"asked": "Next", "told": following, "href": None, "link": None},
        {"asked": "Did it help?", "told": did_it_help(document), "href": None, "link": None},
        {"asked": "Before?", "told": told, "href": href, "link": link},
    )
    return [each for each in asked if each["told"]]


def _before(document: Document, past: PatternFacts) -> tuple[str, str | None, str | None]:
    """How often this alert came to this workload, pod or node, and where to look."""
    incident, similar = document["incident"], document["past_incidents"]
    if past.occurrences == 1:
        if not similar:
            return "No: this is the first time, and nothing similar is stored.", None, None
        several = f"{len(similar)}{' or more' if len(similar) >= _MOST_SIMILAR else ''} similar"
        link = f"{several} incident{'s' if len(similar) > 1 else ''} elsewhere"
        return f"No: this is the first time {_where(incident)}.", "#past", link
    if past.first.incident_id == incident["id"]:
        newest = moment(past.last.at.isoformat())
        return f"No, but {past.occurrences - 1} times since, the newest {newest}.", "#past", "What was done then"
    often = f"Yes: {past.occurrences} times since {moment(past.first.at.isoformat())}"
    before = (entry for entry in similar if is_same(entry, incident) and entry["created_at"] < incident["created_at"])
    earlier = next(before, None)
    if earlier is None:
        return f"{often}.", "#past", "What was done then"
    mark, words, _ = mark_of(earlier)
    return f"{often}; last time: {mark} {words}.", f"/incident/{earlier['id']}", f"Incident {earlier['id']}"


def _where(incident: Document) -> str:
    for name, said in (("workload", "on this workload"), ("pod", "on this pod"), ("node", "on this node")):
        if incident[name]:
            return said
    return "for this alert"
