"""Who writes an analysis: the port, and the composer, which is the author where there is no model.

Used by `analysis` at the end of a run and on demand. An author gives a whole analysis, whatever happens: what a model
could not say well enough is composed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sre_agent.analysis.composer import compose
from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.sections import SECTIONS
from sre_agent.llm.port import Allowance

COMPOSED = "composed"
"""The name of the composer, where a section or an analysis says who wrote it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """An analysis, and how it came about.

    `sections` says of each heading who wrote it: COMPOSED, or a model's name. `model` is the one that was asked, `why`
    the reason why it did not write everything, `faults` what was refused, and `trace` what goes into the event's
    `llm_trace`; None where no model was asked.
    """

    markdown: str
    sections: Mapping[str, str]
    model: str | None = None
    why: str | None = None
    faults: tuple[dict[str, Any], ...] = ()
    trace: dict[str, Any] | None = None

    @property
    def planner(self) -> str:
        """`llm` where a model wrote some of it, else `composed`."""
        return COMPOSED if set(self.sections.values()) <= {COMPOSED} else "llm"


class Author(Protocol):
    """Writes; what it returns says only what the facts say."""

    @property
    def name(self) -> str:
        """COMPOSED, or the model's name."""
        ...

    async def write(self, case: CaseFacts, allowance: Allowance) -> Draft:
        """The analysis of a case. Raises nothing but Unreachable (the store that keeps the budgets)."""
        ...


class ComposedAuthor:
    """The composer: facts alone, the same text each time."""

    name = COMPOSED

    async def write(self, case: CaseFacts, allowance: Allowance) -> Draft:  # noqa: ARG002 - it asks nobody
        return composed(case)


def composed(case: CaseFacts, *, why: str | None = None) -> Draft:
    """What the composer writes, and why nobody else did."""
    return Draft(markdown=compose(case), sections=dict.fromkeys(SECTIONS, COMPOSED), why=why)
