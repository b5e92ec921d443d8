"""Gates: may a step run, given what the steps before it answered? Called by the executor, before every step.

Pure, and closed in doubt: a referenced step without a result, or an answer that is not true or false, closes
the gate, whichever key of the runbook the reference stands in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sre_agent.runbook import Gate, GateReference

Results = Mapping[str, Mapping[str, Any] | None]
"""The answers by step name; None (or no key) for a step that was skipped, refused or failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """Whether the step runs; `text` names every reference with its value, empty for a step without gate."""

    open: bool
    text: str


def evaluate(gate: Gate, results: Results) -> GateResult:
    """Open when all of `all_of` and one of `any_of` (where given) are true and all of `none_of` false."""
    all_of = [_value(reference, results) for reference in gate.all_of]
    any_of = [_value(reference, results) for reference in gate.any_of]
    none_of = [_value(reference, results) for reference in gate.none_of]
    known = None not in (*all_of, *any_of, *none_of)
    chosen = not any_of or True in any_of
    parts = [_text(reference, results) for reference in gate.all_of]
    parts += [_text(reference, results) for reference in gate.any_of]
    parts += [
        _text(reference, results) + (" and must be false" if value else "")
        for reference, value in zip(gate.none_of, none_of, strict=True)
    ]
    if not chosen:
        parts.append(f"one of {', '.join(map(str, gate.any_of))} must be true")
    return GateResult(open=known and all(all_of) and chosen and True not in none_of, text="; ".join(parts))


def _value(reference: GateReference, results: Results) -> bool | None:
    result = results.get(reference.step)
    value = None if result is None else result.get(reference.field)
    return value if isinstance(value, bool) else None


def _text(reference: GateReference, results: Results) -> str:
    result = results.get(reference.step)
    if result is None:
        return f"{reference} is not known, since step {reference.step} was skipped, refused or failed"
    value = _value(reference, results)
    if value is None:
        return f"{reference} is not known, since {reference.step} did not answer it with true or false"
    return f"{reference} is {'true' if value else 'false'}"
