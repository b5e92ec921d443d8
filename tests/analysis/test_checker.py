"""The checker refuses what is not in the facts: sixty mutated analyses found, forty true ones let through."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from sre_agent.analysis.checker import SECTIONS, check
from sre_agent.analysis.composer import compose
from sre_agent.analysis.facts import CaseFacts, gather
from sre_agent.store import Store
from tests.analysis.histories import make, play

TRUE_TEXTS = 40
MUTATED = 10
"""Of each kind."""

Case = tuple[CaseFacts, str]


@pytest.fixture
def cases(database: str) -> list[Case]:
    """Gathered once for all tests: they are values, and no test changes them."""
    if not GATHERED:
        GATHERED.extend(asyncio.run(_gather(database)))
    return GATHERED


GATHERED: list[Case] = []


async def _gather(database: str) -> list[Case]:
    found = []
    async with Store.open(database) as store:
        for seed in range(1000, 1000 + TRUE_TEXTS):
            history = make(seed)
            case = await gather(store, await play(store, history), now=history.last.acted_at)
            found.append((case, compose(case)))
    return found


def wrong_count(case: CaseFacts, text: str, random: Random) -> str:
    """One more than it fired."""
    times = case.past.occurrences
    return text.replace(f"fired {times} times", f"fired {times + 1} times")


def wrong_pod(case: CaseFacts, text: str, random: Random) -> str:
    return text.replace(str(case.incident.pod), f"app-77-{random.randrange(16**6):06x}")


def invented_action(case: CaseFacts, text: str, random: Random) -> str:
    """An action that nobody took: as an action string, quoted or not, or in words."""
    lie = random.choice(
        [
            "The agent did `rollback_deployment:demo/app:revision 7→6`",
            "The agent did rollback_deployment:demo/app:7",
            "The Deployment was rolled back",
            "The node was drained",
        ]
    )
    return text.replace("\n\n## What happened", f" {lie} [event {case.events[0].id}].\n\n## What happened")


def wrong_date(case: CaseFacts, text: str, random: Random) -> str:
    at = case.incident.created_at
    return text.replace(f"{at:%Y-%m-%d}", f"{at.replace(year=2025):%Y-%m-%d}")


def missing_section(case: CaseFacts, text: str, random: Random) -> str:
    title = random.choice(SECTIONS)
    before, _, rest = text.partition(f"## {title}\n")
    following = rest.find("\n## ")
    return before + ("" if following < 0 else rest[following + 1 :])


def invented_event(case: CaseFacts, text: str, random: Random) -> str:
    known = case.events[0].id
    return text.replace(f"[event {known}]", f"[event {known + 100_000}]")


MUTATIONS = [
    pytest.param(wrong_count, "number", id="a wrong count"),
    pytest.param(wrong_pod, "quote", id="another pod"),
    pytest.param(invented_action, "action|quote", id="an invented action"),
    pytest.param(wrong_date, "date", id="a wrong date"),
    pytest.param(missing_section, "section", id="a missing section"),
    pytest.param(invented_event, "reference", id="an invented event"),
]


def test_forty_true_analyses_are_let_through(cases: list[Case]) -> None:
    assert len(cases) == TRUE_TEXTS
    assert [fault for case, text in cases for fault in check(text, case)] == []


@pytest.mark.parametrize(("mutate", "kinds"), MUTATIONS)
def test_ten_mutated_analyses_are_found(
    mutate: Callable[[CaseFacts, str, Random], str], kinds: str, cases: list[Case]
) -> None:
    random, found = Random(7), 0
    for case, text in cases:
        mutated = mutate(case, text, random)
        if mutated == text or found == MUTATED:
            continue
        assert {str(fault.kind) for fault in check(mutated, case)} & set(kinds.split("|")), mutated
        found += 1
    assert found == MUTATED


SENTENCES = [
    pytest.param("The alert fired seventy times [event {event}].", None, id="a word that is no small number is prose"),
    pytest.param("The alert fired twelve times [event {event}].", "number", id="a number word"),
    pytest.param("It happened twice as often [event {event}].", "number", id="twice is two times"),
    pytest.param("The pod ran on node worker-77-3 [event {event}].", "name", id="an unknown node after its kind"),
    pytest.param("Traffic moved to app-7f9c-x1z [event {event}].", "name", id="an unknown name with a digit"),
    pytest.param("The limit went to 640Mi [event {event}].", "number", id="an amount nobody set"),
    pytest.param("It began on March 3 [event {event}].", "date", id="a day in words"),
    pytest.param("It began at 04:44 UTC [event {event}].", "date", id="a clock time"),
    pytest.param("The error rate was 35% [event {event}].", "number", id="a share"),
    pytest.param("In all, 97 requests failed [event {event}].", "number", id="a bare number"),
    pytest.param("KubeNodeGone fired before [event {event}].", "name", id="another alert"),
    pytest.param("RB_MAGIC was walked [event {event}].", "name", id="another runbook"),
    pytest.param("See incident 99999 [event {event}].", "reference", id="another incident"),
    pytest.param("It ended [event].", "reference", id="a reference to nothing"),
    pytest.param("It ended, see event 9999999.", "reference", id="a reference outside brackets"),
    pytest.param("The log says `connection refused by peer` [event {event}].", "quote", id="a quote nobody said"),
    pytest.param("Look with `kubectl -n demo logs x-1-y` [event {event}].", "quote", id="a command about a stranger"),
    pytest.param("Run `kubectl delete ns prod` [event {event}].", "quote", id="a command that changes"),
    pytest.param("It fired {occurrences} times.", "unproven", id="a count without an event"),
    pytest.param("The memory usage should be watched over some days.", None, id="prose without a claim"),
    pytest.param("The Deployment's out-of-memory kills are a follow-up.", None, id="hyphens that are words"),
]


@pytest.mark.parametrize(("sentence", "kind"), SENTENCES)
async def test_a_sentence_is_judged_by_what_it_claims(sentence: str, kind: str | None, store: Store) -> None:
    history = make(1001)
    case = await gather(store, await play(store, history), now=history.last.acted_at)
    added = sentence.format(event=case.events[0].id, occurrences=case.past.occurrences)
    text = compose(case).replace("\n\n## What happened", f" {added}\n\n## What happened")
    assert {str(fault.kind) for fault in check(text, case)} == ({kind} if kind else set())


def test_sections_have_their_order_and_are_not_empty_or_doubled(cases: list[Case]) -> None:
    case, text = cases[0]
    head, _, rest = text.partition("## What happened")
    assert [fault.said for fault in check(f"## What happened{rest}\n{head}", case)] != []
    assert any("empty" in fault.reason for fault in check(text.partition("## Follow-ups")[0] + "## Follow-ups\n", case))
    assert any("twice" in fault.reason for fault in check(f"{text}\n## Summary\n\nAgain.\n", case))


def test_a_number_may_stand_in_an_advice_but_not_in_the_evidence(cases: list[Case]) -> None:
    case, text = cases[0]
    assert check(text + "- Alert on memory usage at 80%.\n", case) == []
