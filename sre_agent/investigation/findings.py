"""What a model says it found, and which of it stands. Called when an investigation concludes. Pure.

Protects one rule: a finding names a step that was made, and every number and every name in it stands in what that step
read, or in the alert. A finding that does not is dropped, and says why; nobody is given a command or an action by it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sre_agent.alert import Alert
from sre_agent.analysis.commands import TYPED
from sre_agent.analysis.forms import ACTION, NAME
from sre_agent.analysis.proofs import leaves
from sre_agent.analysis.prose import plain_prose
from sre_agent.llm.untrusted import cut
from sre_agent.redaction import redact, redact_text
from sre_agent.run import CONCLUDE, StepRecord, StepStatus

MOST_FINDINGS = 5
LONGEST = 300
"""Characters of one finding, and of the hypothesis."""

MOST_FAULT = 300
"""Bytes of what is wrong with a conclusion."""

_TO_BE_FOUND = re.compile(r"[-/\d]")
"""A word with one of these is a number or a name, and must stand where it is said to be."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaidFinding(_Said):
    """One finding in the model's words."""

    statement: str
    step: str


class SaidConclusion(_Said):
    """A model's conclusion before anybody looked at it."""

    findings: list[SaidFinding]
    hypothesis: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """What does not stand, and why. `step` is None for the hypothesis."""

    statement: str
    step: str | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """What stands, and what was dropped: that is kept with the exchange, where nothing is read as a fact."""

    findings: tuple[SaidFinding, ...]
    hypothesis: str | None
    dropped: tuple[Dropped, ...]

    def as_json(self) -> dict[str, Any]:
        """{findings: [{statement, step}], hypothesis}: the result of the last step."""
        return {"findings": [finding.model_dump() for finding in self.findings], "hypothesis": self.hypothesis}

    def dropped_json(self) -> list[dict[str, Any]]:
        """[{statement, step, reason}]."""
        return [asdict(each) for each in self.dropped]


def schema_of_conclusion(steps: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a conclusion; a finding may name one of these steps."""
    finding = _closed(
        statement={"type": "string", "description": f"One sentence of at most {LONGEST} characters."},
        step={"type": "string", "enum": list(steps)},
    )
    return _closed(
        findings={"type": "array", "items": finding, "description": f"At most {MOST_FINDINGS}, best first."},
        hypothesis={"type": ["string", "null"], "description": "The likely cause in one sentence, or null."},
    )


def _closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def said_conclusion(arguments: Mapping[str, Any]) -> SaidConclusion | str:
    """The conclusion that a call holds, or what is wrong with its form."""
    try:
        return SaidConclusion.model_validate(arguments, strict=True)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return cut(f"the arguments of {CONCLUDE} are wrong: {faults}", MOST_FAULT)


def what_stands(
    said: SaidConclusion, steps: Sequence[StepRecord], alert: Alert, bound: Mapping[str, Any]
) -> Conclusion:
    """Each finding held against the step that it names, the hypothesis against all of them.

    `bound` is the target; its names and the alert's may be said everywhere.
    """
    everywhere = _words([dict(alert.labels), dict(alert.annotations), dict(bound)])
    read = {
        step.step: everywhere | _words([step.result, step.arguments, step.tool])
        for step in steps
        if step.status is StepStatus.DONE and step.result is not None
    }
    findings: list[SaidFinding] = []
    dropped: list[Dropped] = []
    for entry in said.findings[: 2 * MOST_FINDINGS]:
        statement = _line(entry.statement)
        if len(findings) == MOST_FINDINGS:
            reason: str | None = f"more than {MOST_FINDINGS} findings are not kept"
        elif entry.step not in read:
            reason = "no step of this name read anything"
        else:
            reason = _against(statement, read[entry.step])
        if reason is None:
            findings.append(SaidFinding(statement=statement, step=entry.step))
        else:
            dropped.append(Dropped(statement=cut(statement, LONGEST), step=cut(entry.step, LONGEST), reason=reason))
    hypothesis = _line(said.hypothesis or "") or None
    if hypothesis is not None:
        reason = _against(hypothesis, everywhere.union(*read.values()))
        if reason is not None:
            dropped.append(Dropped(statement=cut(hypothesis, LONGEST), step=None, reason=reason))
            hypothesis = None
    return Conclusion(findings=tuple(findings), hypothesis=hypothesis, dropped=tuple(dropped))


def _line(text: str) -> str:
    """On one line, without secrets and what is not seen, and without what would end a quote."""
    return " ".join(redact_text(text).replace("`", "'").split())


def _against(statement: str, known: frozenset[str]) -> str | None:
    """Why a sentence does not stand, None for one that does."""
    if not statement:
        return "it says nothing"
    if len(statement) > LONGEST:
        return f"it has {len(statement)} characters; {LONGEST} are kept"
    if TYPED.search(statement) or ACTION.search(statement):
        return "it names a command or an action; a finding is what was seen"
    unknown = [word for word in _names(statement) if not known.issuperset(_parts(word))]
    if unknown:
        return cut(f"not in what the step read, nor in the alert: {', '.join(unknown)}", MOST_FAULT)
    return None


def _words(values: Iterable[Any]) -> frozenset[str]:
    """Every word of these JSON values, as a sentence may name it."""
    texts = [str(leaf) for leaf in leaves(redact(list(values)))]
    written = [form for text in texts for form in (text, plain_prose(text))]
    return frozenset(part for text in written for word in NAME.findall(text) for part in _parts(word))


def _names(statement: str) -> list[str]:
    """The numbers and names of a sentence, numbers in digits however they are written."""
    words = (word.strip(".-") for word in NAME.findall(plain_prose(statement)))
    return list(dict.fromkeys(word for word in words if _TO_BE_FOUND.search(word)))


def _parts(word: str) -> list[str]:
    """`demo/App-1.` as `demo` and `app-1`: a sentence may join the names of an object and its namespace."""
    return [part for each in word.split("/") if (part := each.strip(".-").casefold())]
