"""The patterns of memory limits: raised, or found, ever higher. Called by `patterns`, and by `known` for the counts."""

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.pattern import Pattern
from sre_agent.analysis.texts import counted, quote, reference
from sre_agent.quantity import bytes_of
from sre_agent.store.history_rows import FoundLimit, Raise

LIMIT_RAISES = 3
"""A limit that was raised this often, each time from where the last raise had left it, is not just too small."""

LEAK = "A need that grows past every new limit points to a leak, rather than to a limit that is too small."
AGAINST_A_LEAK = (
    "Profile the application for a memory leak: heap dumps, allocation profiles.",
    "Review recent code changes for caches, buffers and connections that grow without bound.",
    "Alert on memory usage well below the limit, to see the growth before the kill.",
    "If the application keeps no state, a periodic restart may relieve until the cause is found.",
)


def rising_limit(case: CaseFacts) -> Pattern | None:
    """The memory limit is raised again and again: a leak."""
    chain = rising_chain(case.past.raises)
    if len(chain) < LIMIT_RAISES:
        return None
    first, *others = chain
    steps = [f"{quote(_before(first))} → {quote(first.value)}{reference(first.event_id)}"]
    steps += [f"{quote(step.value)}{reference(step.event_id)}" for step in others]
    return Pattern(
        name="rising_limit",
        sentence=(
            f"The memory limit of {_container(field_of(first))} was raised {counted(len(chain), 'time')}: "
            f"{' → '.join(steps)}."
        ),
        hypothesis=LEAK,
        advice=AGAINST_A_LEAK,
    )


def rising_need(case: CaseFacts) -> Pattern | None:
    """The same where somebody else raised the limit: each run found a higher one than the run before."""
    rising = rising_found(case.past.limits)
    if len(rising) <= LIMIT_RAISES or rising_limit(case) is not None:
        return None
    steps = [f"{quote(limit.value)}{reference(limit.event_id)}" for limit in rising]
    return Pattern(
        name="rising_need",
        sentence=f"The memory limit of {_container(rising[0].field)} was found ever higher: {' → '.join(steps)}.",
        hypothesis=LEAK,
        advice=AGAINST_A_LEAK,
    )


def rising_chain(raises: tuple[Raise, ...]) -> list[Raise]:
    """The newest raises of a container that each began where the one before had ended; of the longest such chain."""
    chains: dict[str, list[Raise]] = {}
    for step in raises:
        chain = chains.get(field_of(step), [])
        chains[field_of(step)] = [*chain, step] if chain and chain[-1].value == _before(step) else [step]
    return max(chains.values(), key=len, default=[])


def rising_found(limits: tuple[FoundLimit, ...]) -> list[FoundLimit]:
    """The newest limits of a container, each found higher than the one before, each value once; the longest such."""
    rising: dict[str, list[FoundLimit]] = {}
    for limit in limits:
        found = rising.setdefault(limit.field, [])
        last = bytes_of(found[-1].value) if found else 0
        if bytes_of(limit.value) < last:
            found.clear()
        if bytes_of(limit.value) != last:
            found.append(limit)
    return max(rising.values(), key=len, default=[])


def field_of(step: Raise) -> str:
    """The container whose limit was raised, as action strings begin: `patch_memory_limit:demo/app/app`."""
    return step.action.rpartition(":")[0]


def _before(step: Raise) -> str:
    return step.action.rpartition(":")[2].partition("→")[0]


def _container(field: str) -> str:
    return f"container {quote(field.rpartition('/')[2])}"
