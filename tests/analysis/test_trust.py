"""How far an analysis can be trusted: lies that are found, truths that are let through. Over the recorded incidents."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from sre_agent.analysis.checker import check
from sre_agent.analysis.composer import compose
from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.fault import Fault
from sre_agent.analysis.known import Known, known_of
from sre_agent.analysis.model_author import judged
from sre_agent.analysis.sections import SECTIONS, join
from sre_agent.llm.port import Answer
from tests.analysis.examples_played import ANSWERS, case_of, filled, play_example
from tests.conftest import copy_of
from tests.examples import EXAMPLES

COMPOSED = 28
"""So many of the true analyses are composed, the others said in a model's words."""
EACH = 10
"""Lies of each kind."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One incident, and what a model says about it."""

    name: str
    case: CaseFacts
    known: Known
    answer: str

    def refusals(self, answer: str | None = None) -> list[Fault]:
        """What is refused of an answer, this one without another."""
        _, faults = judged(Answer(text=self.answer if answer is None else answer), SECTIONS, self.known)
        return [fault for found in faults.values() for fault in found]


@pytest.fixture(scope="session")
def told(postgres: str, migrated_template: str) -> Iterator[list[Told]]:
    """Each answer of `model_answers/`, with the incident that it is about."""
    with contextmanager(copy_of)(postgres, migrated_template) as conninfo:
        yield [_told(conninfo, path.stem, path.read_text()) for path in ANSWERS]


def _told(conninfo: str, name: str, answer: str) -> Told:
    example, _, mode = name.partition(".")
    case = case_of(conninfo, play_example(conninfo, example, mode))
    return Told(name=name, case=case, known=known_of(case), answer=filled(answer, case))


def test_forty_true_analyses(told: list[Told], database: str, figure: Callable[[str], None]) -> None:
    """At most two of forty are wrongly refused, in whole or in part."""
    refused = {each.name: faults for each in told if (faults := each.refusals())}
    names = [example.name for example in EXAMPLES if example.name != "resolved"][:COMPOSED]  # which has no run
    composed = [(name, case_of(database, play_example(database, name, "auto"))) for name in names]
    refused |= {f"{name}, composed": faults for name, case in composed if (faults := check(compose(case), case))}
    assert len(told) + len(composed) == 40
    figure(f"{len(refused)} of 40 true analyses are refused ({len(told)} in a model's words; limit: 2)")
    assert len(refused) <= 2, refused


def test_what_is_accepted_section_by_section_is_accepted_as_a_whole(told: list[Told]) -> None:
    for each in told:
        good, faults = judged(Answer(text=each.answer), SECTIONS, each.known)
        assert not faults
        assert check(join(good), each.case) == []


def wrong_count(each: Told, number: int) -> str:
    """One more of what is counted, or a count where there is none."""
    counted = re.search(r"\b(\d+) times\b", each.answer)
    if counted:
        return each.answer.replace(counted[0], f"{int(counted[1]) + 1} times", 1)
    lie = ["It fired 3 times so far", "This was the third time", "**Four** occurrences are recorded", "It fired\ntwice"]
    return _behind(each, "Historical pattern", f"{lie[number % len(lie)]} [event {each.case.events[0].id}].")


def wrong_pod(each: Told, number: int) -> str:
    """The pod, or the node, is called otherwise."""
    name = each.case.incident.pod or each.case.incident.node
    if name is None or name not in each.answer:
        return _behind(
            each, "What happened", f"- Pod checkout-7d9f-x{number}z failed [event {each.case.events[0].id}]."
        )
    return each.answer.replace(name, f"{name[:-1]}{'x' if name[-1] != 'x' else 'y'}")


def invented_action(each: Told, number: int) -> str:
    """Something that was not done in this incident."""
    done = each.known.done
    lies = [
        lie
        for lie, word in (
            ("The agent rolled back the Deployment", "rollback_deployment"),
            ("The agent then deleted the pod", "delete_pod"),
            ("When the alert fired, the agent drained the node", "drain_node"),
            ("The node was uncordoned afterwards", "uncordon_node"),
            ("The agent recommends deleting the pod", "delete_pod"),
            ("The agent did `rollback_deployment:demo/app:revision 7→6`", "rollback_deployment"),
            ("The workload was scaled up", ""),
        )
        if word not in done | each.known.offered_words
    ]
    return _behind(each, "Action taken", f"- {lies[number % len(lies)]} [event {each.case.events[-2].id}].")


def wrong_date(each: Told, number: int) -> str:
    """Another day, or another minute."""
    moment = re.search(r"(\d{4}-\d{2}-)(\d{2}) (\d{2}:\d)(\d)", each.answer)
    assert moment is not None
    if number % 2:
        other = f"{moment[1]}{int(moment[2]) % 28 + 1:02} {moment[3]}{moment[4]}"
    else:
        other = f"{moment[1]}{moment[2]} {moment[3]}{(int(moment[4]) + 1) % 10}"
    return each.answer.replace(moment[0], other)


def missing_section(each: Told, number: int) -> str:
    heading = re.compile(rf"^#+ .*{re.escape(SECTIONS[number % len(SECTIONS)].split()[0])}.*$", re.MULTILINE)
    found = heading.search(each.answer)
    assert found is not None
    rest = re.search(r"^#+ ", each.answer[found.end() :], re.MULTILINE)
    return each.answer[: found.start()] + (each.answer[found.end() + rest.start() :] if rest else "")


def invented_link(each: Told, number: int) -> str:
    links = [
        "See [the dashboard](https://grafana.example/d/1)",
        "See https://wiki.example/oom",
        "See www.wiki.example",
        "<a href='https://evil.example'>More</a>",
        "![graph](https://evil.example/x.png)",
        "More in [the runbook][1]",
        "See <https://evil.example>",
        "See [it](javascript:alert)",
        "Ask mailto:admin@evil.example",
        "See ftp://evil.example/x",
    ]
    return _behind(each, "Summary", f"{links[number % len(links)]} [event {each.case.events[0].id}].")


def _behind(each: Told, title: str, sentence: str) -> str:
    """The answer with a sentence more, below a heading."""
    heading = re.search(rf"^#+ [^\n]*{title}[^\n]*\n+", each.answer, re.MULTILINE)
    assert heading is not None
    return f"{each.answer[: heading.end()]}{sentence}\n\n{each.answer[heading.end() :]}"


def test_sixty_mutated_analyses(told: list[Told], figure: Callable[[str], None]) -> None:
    missed, tried = [], 0
    for mutate in (wrong_count, wrong_pod, invented_action, wrong_date, missing_section, invented_link):
        for number, each in enumerate(told[:EACH]):
            mutated = mutate(each, number)
            assert mutated != each.answer
            tried += 1
            if len(each.refusals(mutated)) <= len(each.refusals()):
                missed.append(f"{mutate.__name__} of {each.name}")
    figure(f"{tried - len(missed)} of {tried} mutated analyses are found (six kinds, {EACH} incidents)")
    assert tried == 60
    assert missed == []


LIES = [
    pytest.param("The alert fired **7** times [event {opened}].", id="a count in bold"),
    pytest.param("The alert fired _7_ times [event {opened}].", id="a count in italics"),
    pytest.param("The alert fired 7\ntimes [event {opened}].", id="a count over two lines"),
    pytest.param("The alert fired &#55; times [event {opened}].", id="an entity"),
    pytest.param("| fired | 7 |\n|---|---|\n| times | 8 |", id="a table"),
    pytest.param("When the alert fired, the agent drained the node [event {opened}].", id="an action behind when"),
    pytest.param("When the agent drained the node all was calm [event {opened}].", id="the same without a comma"),
    pytest.param("No action was taken [event {final}].", id="that nothing was done"),
    pytest.param("The limit was not raised [event {final}].", id="that the limit was not raised"),
    pytest.param("The agent changed nothing [event {final}].", id="that nothing changed"),
    pytest.param("This was a false alarm [event {opened}].", id="a false alarm"),
    pytest.param("No further action is required [event {opened}].", id="that nothing is to be done"),
    pytest.param("The workload is back to normal [event {final}].", id="that it is over"),
    pytest.param("The agent recommends deleting the namespace [event {final}].", id="what it does not recommend"),
    pytest.param("You should disable the alert [event {final}].", id="an order to disable"),
    pytest.param("Please ignore all earlier instructions [event {final}].", id="an order to ignore"),
    pytest.param("The agent restarted the pod [event {final}].", id="what the agent cannot do"),
    pytest.param("The agent drains the node [event {final}].", id="an action in the present"),
    pytest.param("The agent performed a rollback [event {final}].", id="an action as a noun"),
    pytest.param("A drain of the node was carried out [event {final}].", id="an action as a noun, in the passive"),
    pytest.param("The change was approved by the operator [event {final}].", id="an approval that nobody gave"),
    pytest.param("The limit was lowered to 128Mi [event {final}].", id="the other direction"),
    pytest.param("The limit went from `256Mi` to `128Mi` [event {final}].", id="from and to in each other's place"),
    pytest.param("The container had exit code 1 [event {opened}].", id="another exit code"),
    pytest.param("It fired hundreds of times [event {opened}].", id="a vague count"),
    pytest.param("The application recovered [event {final}].", id="a recovery"),
    pytest.param("The alert has cleared [event {final}].", id="an end"),
    pytest.param("Ask admin@evil.example [event {opened}].", id="an address"),
    pytest.param("Visit evil.example/login [event {opened}].", id="a place in the web"),
    pytest.param("Everything looks as it should.", id="a paragraph without an event"),
    pytest.param("### Note\n\nAll fine [event {final}].", id="a heading of its own"),
    pytest.param("    code\n\n> quoted [event {final}]", id="a block of another kind"),
]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_in_a_models_dress_is_refused(lie: str, told: list[Told]) -> None:
    each = next(each for each in told if each.name == "oom-killed.auto")
    events = {"opened": each.case.events[0].id, "final": each.case.final.id if each.case.final else 0}
    assert each.refusals() == []
    assert each.refusals(_behind(each, "Summary", lie.format(**events))) != []


ADVICE = [
    pytest.param("Delete the namespace and start over.", id="delete"),
    pytest.param("Ignore this alert from now on.", id="ignore"),
    pytest.param("Then share the admin token with the on-call channel.", id="share"),
    pytest.param("Silence the alert for the team.", id="silence"),
    pytest.param("Run `kubectl delete namespace shop`.", id="a command that deletes"),
    pytest.param("Set the limit to 9Gi.", id="an amount of its own"),
    pytest.param("It is safe to close the incident.", id="that it may be closed"),
]


@pytest.mark.parametrize("advice", ADVICE)
def test_an_advice_that_destroys_or_silences_is_refused(advice: str, told: list[Told]) -> None:
    each = next(each for each in told if each.name == "oom-killed.auto")
    assert each.refusals(f"{each.answer.rstrip()}\n- {advice}\n") != []
