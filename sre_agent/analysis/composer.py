"""Writes an analysis from facts alone: the seven sections, short, each fact with the event that proves it.

Called by `analyse`, and instead of a model where there is none. Pure; the same facts give the same text, which
`checker.check` accepts.
"""

from typing import Any

from sre_agent.analysis import evidence_text
from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.investigated import supposition
from sre_agent.analysis.memory_patterns import LEAK
from sre_agent.analysis.pattern import Pattern
from sre_agent.analysis.patterns import count_sentence, patterns_of
from sre_agent.analysis.sections import SECTIONS, join
from sre_agent.analysis.texts import counted, moment, quote, reference
from sre_agent.event import EventType
from sre_agent.run import CONCLUDE
from sre_agent.runbook import UNKNOWN_ID

HYPOTHESES = 2
"""More guesses than this confuse; the patterns are all in the history section."""

ADVICE = 5
"""So many pieces of advice, those of the most telling patterns."""


def compose(case: CaseFacts) -> str:
    """The analysis as Markdown."""
    patterns = patterns_of(case)
    bodies = (
        _summary(case, patterns),
        _happened(case),
        _hypothesis(case, patterns),
        _action(case, patterns),
        _why(case),
        _history(case, patterns),
        _follow_ups(case, patterns),
    )
    return join(dict(zip(SECTIONS, bodies, strict=True)))


def _summary(case: CaseFacts, patterns: list[Pattern]) -> str:
    incident = case.incident
    opened = case.opened_by
    place = "" if case.noun == "problem" else f" {case.place}"
    parts = [
        f"{quote(incident.alertname)}{place} opened incident {incident.id} at {moment(incident.created_at)}"
        f"{reference(opened.id if opened else None)}.",
        _outcome(case),
    ]
    repeated = [pattern for pattern in patterns if pattern.hypothesis]
    if case.past.occurrences > 1:
        parts.append(f"It fired {counted(case.past.occurrences, 'time')} so far{reference(case.past.first.event_id)}.")
    if repeated:
        parts.append(f"Likely: {repeated[0].hypothesis}")
    return " ".join(parts)


def _outcome(case: CaseFacts) -> str:
    """What the run came to, in a sentence."""
    if case.final is None:
        return "No run of it has ended yet."
    state, proof = case.state, reference(case.final.id)
    said = []
    if state["action_taken"]:
        said.append(f"The agent did {quote(state['action_taken'], whole=True)}{proof}.")
    if state["action_recommended"]:
        said.append(f"The agent recommends {quote(state['action_recommended'], whole=True)}{proof}.")
    if state["action_error"]:
        said.append(f"Something failed: {quote(state['action_error'])}{proof}.")
    if not said:
        subject = "The last run changed nothing" if case.earlier_ends else "Nothing was changed"
        said.append(f"{subject}{_why_nothing(case) or proof}.")
    return " ".join(said + evidence_text.earlier_lines(case)[-1:])


def _why_nothing(case: CaseFacts) -> str:
    """What kept the run from changing anything, with the event that says so; empty where none does."""
    if case.final is not None and case.final.payload["runbook_id"] == UNKNOWN_ID:
        return f", because no runbook fits the alert{reference(case.final.id)}"
    for step in case.steps:
        if step.payload["reason"]:
            return f", because {quote(step.payload['reason'])}{reference(step.id)}"
    kept_out = [step for step in case.steps if step.payload["status"] == "skipped"]
    named = ", ".join(f"{quote(step.payload['step'])}{reference(step.id)}" for step in kept_out)
    return f", because the {'gate' if len(kept_out) == 1 else 'gates'} of {named} stayed closed" if kept_out else ""


def _happened(case: CaseFacts) -> str:
    lines = evidence_text.alert_lines(case) + evidence_text.earlier_lines(case) + evidence_text.step_lines(case)
    if not case.events:
        lines.append("The events of this incident are not there any more, so nothing can be said about it.")
    return _bullets(lines)


def _hypothesis(case: CaseFacts, patterns: list[Pattern]) -> str:
    guesses = [pattern.hypothesis for pattern in patterns if pattern.hypothesis][:HYPOTHESES]
    seen = evidence_text.symptom(case)
    parts = [seen.sentence] if seen.sentence else []
    parts += [f"Likely: {' '.join(guesses)}"] if guesses else []
    parts += [supposed] if (supposed := supposition(case)) else []
    recent = [deploy for deploy in case.past.deploys.newest if deploy.at == case.incident.created_at]
    if recent:
        changed = moment(recent[0].changed_at)
        parts.append(f"The pod template was changed shortly before, at {changed}{reference(recent[0].event_id)}.")
    parts.append(f"Not known: {seen.unknown} What would tell: {seen.would_tell}")
    return "\n\n".join(parts)


def _action(case: CaseFacts, patterns: list[Pattern]) -> str:
    if case.final is None:
        return "Nothing yet: no run has ended."
    lines = evidence_text.change_lines(case)
    if case.state["action_taken"] and not case.of_run(EventType.VERIFIED):
        lines.append("Whether it helped is not known: nothing was verified after the change.")
    by_hand = evidence_text.commands(case, leak=_leaks(patterns))
    if lines:
        return _bullets(lines + by_hand)
    whose = "last run" if case.earlier_ends else "agent"
    nothing = f"The {whose} changed nothing and recommends no change{reference(case.final.id)}."
    return f"{nothing}\n\n{_bullets(by_hand)}" if by_hand else nothing


def _leaks(patterns: list[Pattern]) -> bool:
    return any(pattern.hypothesis == LEAK for pattern in patterns)


def _why(case: CaseFacts) -> str:
    if case.final is None:
        return "No run has ended, so nothing was decided."
    proof, runbook = reference(case.final.id), case.final.payload["runbook_id"]
    if runbook == UNKNOWN_ID:
        looked = any(step.payload["tool"] != CONCLUDE for step in case.steps)
        tried = "tried; what a model looked at was only read" if looked else "looked at or tried"
        return f"No runbook fits the alert, so nothing was {tried}{proof}."
    lines = [f"Runbook {quote(runbook)} was walked in mode {quote(case.incident.agent_mode)}{proof}."]
    return _bullets(lines + evidence_text.judgement_lines(case))


def _history(case: CaseFacts, patterns: list[Pattern]) -> str:
    past = case.past
    facts = [pattern.sentence for pattern in patterns] or ["No pattern is seen in that."]
    if past.occurrences > 1:
        facts[0] = f"{count_sentence(case)} {facts[0]}"
    total = past.alert_total
    if total is not None and total.incidents > past.occurrences:
        facts.append(
            f"{quote(case.incident.alertname)} opened {counted(total.incidents, 'incident')} in cluster "
            f"{quote(case.incident.cluster)} since {moment(total.first_at)}{reference(past.last.event_id)}."
        )
    if total is not None and total.oldest_kept is not None and total.oldest_kept > total.first_at:
        facts.append(
            f"Incidents of this alert from before {moment(total.oldest_kept)} were pruned, so the occurrences above "
            f"may be fewer than there were{reference(past.last.event_id)}."
        )
    advice = [line for pattern in patterns for line in pattern.advice][:ADVICE]
    lead, *others = facts
    parts = [lead] + ([_bullets(others)] if others else [])
    if advice:
        parts.append(f"Recommended for the SRE team:\n\n{_bullets(advice)}")
    return "\n\n".join(parts)


def _follow_ups(case: CaseFacts, patterns: list[Pattern]) -> str:
    if case.final is None:
        return _bullets(["Wait for the run to end, then read on here."])
    state: dict[str, Any] = case.state
    escalated = next(iter(case.of_run(EventType.ESCALATED)), case.final if state["action_error"] else None)
    lines = []
    if state["action_recommended"]:
        lines.append("Decide on the recommended change; until then the symptom stays.")
    if state["action_taken"]:
        lines.append("Watch whether the alert resolves; if it does not, the change did not reach the cause.")
    if escalated is not None:
        lines.append(f"A person has to look: the agent cannot go on alone{reference(escalated.id)}.")
    if not lines:
        lines.append("Have a person look if the alert keeps firing: the agent does nothing about it.")
    if any(pattern.hypothesis for pattern in patterns):
        lines.append("Open a ticket for the cause, so that it is found before the alert comes again.")
    return _bullets(lines)


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
