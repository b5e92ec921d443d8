"""The checker refuses what is not in the facts, and lets true analyses and ordinary prose through."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from sre_agent.analysis.checker import check
from sre_agent.analysis.composer import compose
from sre_agent.analysis.facts import CaseFacts, gather
from sre_agent.analysis.forms import ACTION_WORDS, DONE_WORDS
from sre_agent.analysis.sections import SECTIONS
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


ADVISED, CORDONED, RAISED = 1, 4, 7
"""Places in `cases`: one where the agent only advised, one where it cordoned the node, one with raised limits."""

FALSE = [
    pytest.param("The alert fired seventy-two times [event {opened}].", "number", id="a long number word"),
    pytest.param("The alert fired twelve times [event {opened}].", "number", id="a number word"),
    pytest.param("The alert fired a dozen times [event {opened}].", "number", id="a dozen"),
    pytest.param("The alert fired thrice [event {opened}].", "number", id="thrice"),
    pytest.param("It is the sixth time [event {opened}].", "number", id="an ordinal"),
    pytest.param("It fired \N{FULLWIDTH DIGIT SEVEN} times [event {opened}].", "number", id="a wide digit"),
    pytest.param("It fired \N{ARABIC-INDIC DIGIT SEVEN} times [event {opened}].", "number", id="another script"),
    pytest.param("It fired \N{CIRCLED DIGIT SEVEN} times [event {opened}].", "number", id="a circled digit"),
    pytest.param("It fired 17x [event {opened}].", "number", id="a factor"),
    pytest.param("It happened twice as often [event {opened}].", "number", id="twice is two times"),
    pytest.param("2/3 of all began on a Friday [event {opened}].", "number", id="a fraction"),
    pytest.param("It is a 40-day problem [event {opened}].", "number", id="a hyphen behind the number"),
    pytest.param("12 pods failed [event {opened}].", "number", id="a count of pods"),
    pytest.param("The limit went to 640Mi [event {opened}].", "number", id="an amount nobody set"),
    pytest.param("The limit went to 640 MiB [event {opened}].", "number", id="another way to write the unit"),
    pytest.param("The error rate was 35% [event {opened}].", "number", id="a share"),
    pytest.param("It fails 35 percent of the time [event {opened}].", "number", id="a share in words"),
    pytest.param("In all, 97 requests failed [event {opened}].", "number", id="a bare number"),
    pytest.param("It began on March 3 [event {opened}].", "date", id="a day in words"),
    pytest.param("It began on the 3rd of Mar [event {opened}].", "date", id="a short month"),
    pytest.param("It began on 07/03/2026 [event {opened}].", "date", id="a date with slashes"),
    pytest.param("It began on 3.7.2026 [event {opened}].", "date", id="a date with dots"),
    pytest.param("It began in March 2026 [event {opened}].", "date", id="a month"),
    pytest.param("It began yesterday [event {opened}].", "date", id="yesterday"),
    pytest.param("It began days ago [event {opened}].", "date", id="ago"),
    pytest.param("It began at 04:44 UTC [event {opened}].", "date", id="a clock time"),
    pytest.param("It began at 2:50 pm [event {opened}].", "date", id="half a day"),
    pytest.param("It began at 14:50 CET [event {opened}].", "date", id="another time zone"),
    pytest.param("It fires on Mondays [event {opened}].", "date", id="another weekday"),
    pytest.param("The pod ran on node worker-77-3 [event {opened}].", "name", id="an unknown node after its kind"),
    pytest.param("Traffic moved to app-7f9c-x1z [event {opened}].", "name", id="an unknown name with a digit"),
    pytest.param("Pods app-1001-abc and app-1001-def failed [event {opened}].", "name", id="plural names"),
    pytest.param("KubeNodeGone fired before [event {opened}].", "name", id="another alert"),
    pytest.param("RB_MAGIC was walked [event {opened}].", "name", id="another runbook"),
    pytest.param("See incident 99999 [event {opened}].", "reference", id="another incident"),
    pytest.param("It ended [event].", "reference", id="a reference to nothing"),
    pytest.param("It ended, see event 9999999.", "reference", id="a reference outside brackets"),
    pytest.param("It ended [events {opened}-{final}].", "reference", id="a range of events"),
    pytest.param("It said `connection refused by peer` [event {opened}].", "quote", id="a quote nobody said"),
    pytest.param("Look with `kubectl -n demo logs x-1-y` [event {opened}].", "quote", id="a command about a stranger"),
    pytest.param("Run `kubectl delete ns prod` [event {opened}].", "quote", id="a command that changes"),
    pytest.param("Run `kubectl get pods --all` [event {opened}].", "quote", id="an unknown flag"),
    pytest.param("Run `kubectl get pods | xargs rm` [event {opened}].", "quote", id="a pipe"),
    pytest.param("Run `kubectl get secrets -o yaml` [event {opened}].", "quote", id="a command about secrets"),
    pytest.param("Run `kubectl get pods --token=x` [event {opened}].", "quote", id="another flag"),
    pytest.param("Run kubectl delete pod app [event {opened}].", "quote", id="a command outside a code span"),
    pytest.param("See [this](x) [event {opened}].", "markup", id="a link"),
    pytest.param("<b>Well</b> [event {opened}].", "markup", id="HTML"),
    pytest.param("It fired {occurrences} times.", "unproven", id="a count without an event"),
    pytest.param("It was killed: `container app was OOMKilled` [event {opened}].", "unproven", id="not in this event"),
    pytest.param("It began at {first} UTC [event {final}].", "unproven", id="a moment of another event"),
    pytest.param("The agent deleted the pod [event {final}].", "action", id="recommended, not done"),
    pytest.param("The agent did `{advised}` [event {final}].", "action", id="recommended, said to be done"),
    pytest.param("The workload was scaled up [event {final}].", "action", id="what no tool does"),
    pytest.param("The memory limit was doubled [event {final}].", "action", id="a raise nobody made"),
    pytest.param("The alert never fired before [event {opened}].", "history", id="never"),
    pytest.param("This is its first occurrence [event {opened}].", "history", id="the first"),
    pytest.param("The change fixed the problem [event {final}].", "history", id="nothing was verified"),
    pytest.param("The incident was resolved [event {final}].", "history", id="it is open"),
]

TRUE = [
    pytest.param(ADVISED, "The memory usage should be watched over some days.", id="prose without a claim"),
    pytest.param(ADVISED, "The Deployment's out-of-memory kills are a follow-up.", id="hyphens that are words"),
    pytest.param(ADVISED, "The container was killed at its memory limit [event {step}].", id="the symptom"),
    pytest.param(ADVISED, "It fired four times in 20 days [event {opened}].", id="a number word"),
    pytest.param(ADVISED, "The agent recommends deleting pod `{pod}` [event {final}].", id="a recommendation"),
    pytest.param(ADVISED, "The pod has not been deleted.", id="what was not done"),
    pytest.param(ADVISED, "If the node is drained, watch the other workloads.", id="a condition"),
    pytest.param(ADVISED, "The alert was raised by Prometheus.", id="raised is of limits only"),
    pytest.param(ADVISED, "It is not known whether it helped.", id="what is not known"),
    pytest.param(ADVISED, "One of the causes may be a cache.", id="one is no number"),
    pytest.param(ADVISED, "See `kubectl -n {namespace} get pods -o wide`.", id="a command that reads"),
    pytest.param(ADVISED, "See `kubectl -n {namespace} logs {pod} --previous`.", id="logs"),
    pytest.param(CORDONED, "The agent cordoned node `{node}` [event {final}].", id="what was done"),
    pytest.param(RAISED, "The agent raised the limit five times, to 4Gi [event {opened}].", id="raises of the past"),
]


def faults_of(case: CaseFacts, sentence: str) -> set[str]:
    """The kinds of fault of an analysis with one more sentence in its summary."""
    said = sentence.format(
        opened=case.events[0].id,
        step=case.steps[0].id,
        final=case.final.id if case.final else 0,
        occurrences=case.past.occurrences,
        first=f"{case.past.first.at:%Y-%m-%d %H:%M}",
        advised=case.state["action_recommended"],
        pod=case.incident.pod,
        node=case.incident.node,
        namespace=case.incident.namespace,
    )
    text = compose(case).replace("\n\n## What happened", f" {said}\n\n## What happened")
    return {str(fault.kind) for fault in check(text, case)}


@pytest.mark.parametrize(("sentence", "kind"), FALSE)
def test_a_false_sentence_is_found(sentence: str, kind: str, cases: list[Case]) -> None:
    assert kind in faults_of(cases[ADVISED][0], sentence)


@pytest.mark.parametrize(("which", "sentence"), TRUE)
def test_a_true_sentence_is_let_through(which: int, sentence: str, cases: list[Case]) -> None:
    assert faults_of(cases[which][0], sentence) == set()


def test_a_verb_of_action_needs_its_event(cases: list[Case]) -> None:
    assert faults_of(cases[CORDONED][0], "The agent cordoned the node.") == {"unproven"}
    assert faults_of(cases[CORDONED][0], "The agent drained the node [event {final}].") == {"action"}


def test_only_a_lead_in_makes_advice_of_bullets_about_the_past(cases: list[Case]) -> None:
    case, text = cases[ADVISED]
    lie = "\n\n- It failed in 35% of all rollouts.\n\n## Follow-ups"
    told, advised = (text.replace("\n\n## Follow-ups", f"\n\n{lead}{lie}") for lead in ("So it is.", "Consider:"))
    assert {str(fault.kind) for fault in check(told, case)} == {"number"}
    assert check(advised, case) == []


def test_every_action_that_a_tool_can_take_has_its_verbs() -> None:
    assert {word for words in DONE_WORDS.values() for word in words.split("|")} == ACTION_WORDS


def test_sections_have_their_order_and_are_not_empty_or_doubled(cases: list[Case]) -> None:
    case, text = cases[0]
    head, _, rest = text.partition("## What happened")
    assert [fault.said for fault in check(f"## What happened{rest}\n{head}", case)] != []
    assert any("empty" in fault.reason for fault in check(text.partition("## Follow-ups")[0] + "## Follow-ups\n", case))
    assert any("twice" in fault.reason for fault in check(f"{text}\n## Summary\n\nAgain.\n", case))


def test_a_number_may_stand_in_an_advice_but_not_in_the_evidence(cases: list[Case]) -> None:
    case, text = cases[0]
    assert check(text + "- Alert on memory usage at 80%.\n", case) == []
