"""One incident: the answer first, everything behind it a key away, and what a person may do about it."""

import asyncio
import json
from typing import Any

import pytest
from textual.widgets import Input, Markdown

from sre_agent.analysis import regenerate
from sre_agent.errors import BadInput
from sre_agent.store import Store
from sre_agent.store.book import StateForbids
from sre_agent.tui.answer import AnswerPage
from sre_agent.tui.database import DatabaseSource
from sre_agent.tui.detail_screen import DetailScreen
from sre_agent.tui.dialogs import Confirm, Reading
from sre_agent.tui.keys import Choice, Page
from sre_agent.tui.panes import MOST_JSON, Analysis
from sre_agent.tui.past import Past
from tests.store.store_builders import NOW, execute
from tests.tui.browsing import LARGE, Browser, browsing, fill, opened, said, seen, text, told, until

ACTED, RECOMMENDED, REFUSED = 1, 2, 3
KUBECTL = "kubectl -n shop set resources deployment/checkout -c app --limits=memory=256Mi"


def section(pilot: Browser, name: str) -> str:
    return said(pilot, f"#section-{name} .said")


async def answered(pilot: Browser) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen) and said(pilot, "#sentence"))


async def test_the_answer_comes_first(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=ACTED) as pilot:
        await answered(pilot)
        assert said(pilot, "#sentence").startswith("✓ The agent did patch_memory_limit:payments/")
        assert "a recording cannot heal" in section(pilot, "helped")
        assert section(pilot, "before") == "First time: no similar incident is stored."
        assert "- 256Mi" in section(pilot, "change")
        assert "+ 512Mi" in section(pilot, "change")


async def test_a_recommendation_comes_with_what_would_allow_it_and_the_command(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=RECOMMENDED) as pilot:
        await answered(pilot)
        assert said(pilot, "#sentence").startswith("→ The agent recommends patch_memory_limit:shop/checkout/app")
        assert "allowed by: AGENT_MODE=auto" in section(pilot, "why-not")
        assert KUBECTL in section(pilot, "command")
        await pilot.press("y")
        assert pilot.app.clipboard == KUBECTL
        assert KUBECTL in told(pilot)


async def test_a_refusal_says_who_refused_and_what_a_person_could_type(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=REFUSED) as pilot:
        await answered(pilot)
        assert section(pilot, "why-not").startswith("denied-namespace at increase_memory_limit: the namespace")
        assert "allowed by: a person acting by hand" in section(pilot, "why-not")
        assert "kubectl -n kube-system" in section(pilot, "command")
        assert not pilot.app.screen.query_one("#section-change").display
        assert section(pilot, "steps").startswith("✗ increase_memory_limit refused\n  container coredns was OOMKilled")
        assert section(pilot, "before").startswith("First time here. Elsewhere once, last 2026-03-17: → patch_memory")


async def test_numbers_and_arrows_lead_through_the_tabs(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=RECOMMENDED) as pilot:
        await answered(pilot)
        for key, words in (
            ("2", "What happened (evidence)"),
            ("3", "kube-system/coredns-wcldllcwc4-crfrb: nothing done"),
            ("4", "webhook_received"),
            ("5", "increase_memory_limit proposed"),
            ("right", "The agent recommends"),
            ("left", "increase_memory_limit proposed"),
        ):
            await pilot.press(key)
            await seen(pilot, words)


async def test_a_similar_incident_opens_and_q_leads_back(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=RECOMMENDED) as pilot:
        await answered(pilot)
        first = pilot.app.screen
        await pilot.press("3")
        await seen(pilot, "kube-system/coredns-wcldllcwc4-crfrb: nothing done")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is not first)
        await answered(pilot)
        assert "1 Answer" in text(pilot)
        await pilot.press("q")
        await until(pilot, lambda: pilot.app.screen is first)
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(pilot.app.screen, DetailScreen))


async def test_incidents_on_the_same_object_come_first_in_the_past(database: str) -> None:
    fill(database, 30)
    execute(database, "update incidents set pod = 'app-1' where id = 20")
    async with opened(database) as source, browsing(source, incident_id=1) as pilot:
        await answered(pilot)
        assert section(pilot, "before").startswith("Here once before, last 2026-11-23: ✓ patch_memory_limit:")
        await pilot.press("3")
        past = pilot.app.screen.query_one(Past)
        await until(pilot, lambda: past.option_count == 29)
        assert [past.get_option_at_index(index).id for index in range(3)] == ["20", "2", "3"]
        await seen(pilot, "KubePodOOMKilled open the same")


async def test_another_size_of_the_terminal_keeps_the_place(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=ACTED) as pilot:
        await answered(pilot)
        await pilot.press("4", "j", "j")
        events = pilot.app.screen.query_one("#events", Choice)
        await until(pilot, lambda: events.highlighted == 2)
        await pilot.resize_terminal(*LARGE)
        await seen(pilot, '"step": "check_imagepullbackoff"')
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: '"step"' not in text(pilot))
        assert events.highlighted == 2
        await seen(pilot, "check_imagepullbackoff done")


async def test_behind_each_event_of_the_timeline_is_its_json(played_source: DatabaseSource) -> None:
    document = await played_source.detail(ACTED)
    async with browsing(played_source, incident_id=ACTED, size=LARGE) as pilot:
        await answered(pilot)
        await pilot.press("4")
        await seen(pilot, "about to send")
        await seen(pilot, f"{document['events'][1]['id']} 04-02 03:14:36 step")
        await pilot.press("j")
        await until(pilot, lambda: json.loads(said(pilot, "#raw")) == document["events"][1])


async def test_an_older_analysis_is_read_in_the_timeline(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=ACTED, size=LARGE) as pilot:
        await answered(pilot)
        await pilot.press("4", "G")
        await until(pilot, lambda: said(pilot, "#raw").startswith("## Summary\n\n`KubePod"))
        assert '"event_type": "analysis"' in said(pilot, "#raw")


async def test_what_speaks_against_several_steps_stands_once(played_database: str) -> None:
    judgement = {"rule": "target", "verdict": "refuse", "reason": "no cluster", "allowed_by": "a cluster"}
    judgement |= {"retry_at": None, "by_hand": None, "settled": False, "tells": "each"}
    refused = STEP | {"status": "refused", "reason": "no cluster", "judgements": [judgement]}
    steps = [refused | {"step": "cordon_node"}, refused | {"step": "drain_node"}]
    state = {"action_taken": None, "action_recommended": None, "action_error": None, "rb_steps": steps}
    append(played_database, ACTED, "final", {"runbook_id": "RB_NODE_NOTREADY", "state": state})
    async with opened(played_database) as source, browsing(source, incident_id=ACTED) as pilot:
        await answered(pilot)
        assert section(pilot, "why-not") == "target at cordon_node, drain_node: no cluster\n  allowed by: a cluster"
        assert section(pilot, "steps") == "✗ cordon_node refused\n✗ drain_node refused"


async def test_on_a_narrow_terminal_enter_shows_the_json(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=ACTED) as pilot:
        await answered(pilot)
        await pilot.press("4")
        await seen(pilot, "webhook_received")
        await seen(pilot, "⏎ Open y Copy R Regenerate S Suppress X Resolve ? Help q Back")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Reading))
        await seen(pilot, '"event_type": "webhook_received"')
        await pilot.press("y")
        await until(pilot, lambda: "clipboard of your terminal: the JSON" in told(pilot))
        assert json.loads(pilot.app.clipboard) == (await played_source.detail(ACTED))["events"][0]
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen))


def append(database: str, incident_id: int, event_type: str, payload: dict[str, Any], *, times: int = 1) -> None:
    said = json.dumps(payload).replace("'", "''")
    execute(
        database,
        "insert into incident_events (incident_id, ts, event_type, payload) "
        f"select {incident_id}, now(), '{event_type}', '{said}' from generate_series(1, {times})",
    )


ASKED = {
    "step": "check_oom",
    "tool": "check_oom",
    "model": "small-model",
    "used": "corrected answer",
    "why": None,
    "exchanges": [
        {
            "asked": [{"role": "user", "content": "…"}],
            "answered": {"text": "let me think", "calls": [], "cut": False},
            "error": None,
            "verdict": "no tool was called",
            "prompt_tokens": 700,
            "completion_tokens": 12,
            "latency_ms": 800,
        },
        {
            "asked": [],
            "answered": {"text": None, "calls": [{"name": "check_oom", "arguments": "{}"}], "cut": False},
            "error": None,
            "verdict": "accepted",
            "prompt_tokens": 740,
            "completion_tokens": 9,
            "latency_ms": 400,
        },
    ],
}
STEP = {"step": "check_oom", "tool": "check_oom", "status": "done", "reason": None, "gate": None}
STEP |= {"arguments": {}, "result": {}, "judgements": []}


async def test_what_a_model_was_asked_and_answered_is_told_before_the_json(played_database: str) -> None:
    append(played_database, ACTED, "step", STEP | {"llm": ASKED})
    async with opened(played_database) as source, browsing(source, incident_id=ACTED, size=LARGE) as pilot:
        await answered(pilot)
        await pilot.press("4")
        await seen(pilot, "a language model was asked")
        await pilot.press("G")
        await seen(pilot, "LLM small-model: corrected answer, 2 calls, 1200 ms, 1,440+21 tokens")
        assert "1. let me think → no tool was called (800 ms, 700+12 tokens)" in said(pilot, "#raw")
        assert "2. check_oom({}) → accepted (400 ms, 740+9 tokens)" in said(pilot, "#raw")


async def test_a_trace_that_somebody_changed_is_told_as_far_as_it_can_be_read(played_database: str) -> None:
    append(played_database, ACTED, "step", STEP | {"llm": {"exchanges": [7, {"answered": "words"}]}})
    async with opened(played_database) as source, browsing(source, incident_id=ACTED, size=LARGE) as pilot:
        await answered(pilot)
        await pilot.press("4")
        await seen(pilot, "a language model was asked")
        await pilot.press("G")
        await seen(pilot, "LLM None: not known")


async def test_a_thousand_events_and_the_longest_are_told_and_new_ones_come_without_moving(
    played_database: str,
) -> None:
    append(played_database, ACTED, "error", {"where": "x", "error": "y" * (MOST_JSON + 1)})
    append(played_database, ACTED, "step", STEP, times=1000)
    async with opened(played_database) as source, browsing(source, incident_id=ACTED) as pilot:
        await answered(pilot)
        await pilot.press("4")
        events = pilot.app.screen.query_one("#events", Choice)
        await until(pilot, lambda: events.option_count > 1000)
        await pilot.press("j", "j")
        at, count = events.highlighted, events.option_count
        append(played_database, ACTED, "step", STEP)
        await until(pilot, lambda: events.option_count == count + 1, seconds=10)
        assert events.highlighted == at
        events.highlighted = next(
            index for index in range(count) if "error" in str(events.get_option_at_index(index).prompt)
        )
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Reading))


async def test_a_long_analysis_is_laid_out_as_far_as_somebody_reads(played_database: str) -> None:
    written = "## Part\n\n" + "".join(f"- line {n} `code` [a link](http://example.com)\n\n" for n in range(5000))
    assert len(written) > 200_000
    append(
        played_database,
        ACTED,
        "analysis",
        {"analysis_markdown": written, "runbook_id": "RB_OOM", "regenerated": True},
    )
    async with opened(played_database) as source, browsing(source, incident_id=ACTED) as pilot:
        await answered(pilot)
        await pilot.press("2")
        await seen(pilot, "line 3 ")
        page = pilot.app.screen.query_one(Analysis)
        laid_out = len(pilot.app.screen.query_one(Markdown).source)
        assert laid_out < 20_000
        await until(pilot, lambda: page.max_scroll_y > 0)
        await pilot.press("G")
        await until(pilot, lambda: len(pilot.app.screen.query_one(Markdown).source) > laid_out)


async def test_an_analysis_is_written_anew_and_the_old_one_is_kept(played_database: str) -> None:
    async with opened(played_database) as source, browsing(source, incident_id=RECOMMENDED) as pilot:
        await answered(pilot)
        await pilot.press("2", "R")
        await until(pilot, lambda: "written again" in said(pilot, "#about-analysis"))
        assert "by code from facts; 2 are kept" in said(pilot, "#about-analysis")
        assert "the old ones are kept" in told(pilot)


async def test_who_wrote_which_sections_of_an_analysis_is_said(played_database: str) -> None:
    payload = {"analysis_markdown": "## Summary", "runbook_id": "RB_OOM", "regenerated": True, "model": "small-model"}
    payload |= {"sections": {"Summary": "small-model", "History": "composed"}, "why": "History: a wrong number"}
    append(played_database, ACTED, "analysis", payload)
    async with opened(played_database) as source, browsing(source, incident_id=ACTED) as pilot:
        await answered(pilot)
        await pilot.press("2")
        await until(pilot, lambda: "by small-model and checked: Summary (History: a" in said(pilot, "#about-analysis"))


class Slow(DatabaseSource):
    """The database, whose analyses take as long as the test wants."""

    begun = 0

    async def regenerate(self, incident_id: int) -> dict[str, Any]:
        self.begun += 1
        await self.gate.wait()
        return await super().regenerate(incident_id)

    gate = asyncio.Event()


async def test_while_an_analysis_is_written_a_second_one_is_not_begun(played_database: str) -> None:
    async with opened(played_database) as source:
        source.__class__ = Slow
        assert isinstance(source, Slow)
        source.gate = asyncio.Event()
        async with browsing(source, incident_id=RECOMMENDED) as pilot:
            await answered(pilot)
            await pilot.press("R")
            await seen(pilot, "… working")
            await pilot.press("R", "R")
            await until(pilot, lambda: "still under way" in told(pilot))
            source.gate.set()
            await until(pilot, lambda: "written anew" in told(pilot))
            assert source.begun == 1
            assert "working" not in text(pilot)


async def test_an_analysis_goes_on_being_written_when_the_reader_leaves(played_database: str) -> None:
    async with opened(played_database) as source:
        source.__class__ = Slow
        assert isinstance(source, Slow)
        source.gate = asyncio.Event()
        async with browsing(source, incident_id=RECOMMENDED) as pilot:
            await answered(pilot)
            await pilot.press("R")
            await seen(pilot, "… working")
            await pilot.press("q")
            await until(pilot, lambda: not isinstance(pilot.app.screen, DetailScreen))
            source.gate.set()
            await until(pilot, lambda: "The analysis of incident 2 is written anew" in told(pilot))
        written = [event for event in (await source.detail(RECOMMENDED))["events"] if event["event_type"] == "analysis"]
        assert len(written) == 2


class Crashing(DatabaseSource):
    """The database, with a fault in its analyses that nobody thought of."""

    async def regenerate(self, incident_id: int) -> dict[str, Any]:
        raise ZeroDivisionError("nobody thought of this")


async def test_after_an_error_that_nobody_expected_something_else_may_be_begun(played_database: str) -> None:
    async with opened(played_database) as source:
        source.__class__ = Crashing
        async with browsing(source, incident_id=REFUSED) as pilot:
            await answered(pilot)
            await pilot.press("R")
            await until(pilot, lambda: "what you asked for failed: ZeroDivisionError" in told(pilot))
            await until(pilot, lambda: "working" not in text(pilot))
            await pilot.press("X", "enter")
            await until(pilot, lambda: "Incident 3 is resolved." in told(pilot))


async def test_an_analysis_that_cannot_be_written_says_why_and_the_old_one_stays(played_database: str) -> None:
    execute(
        played_database,
        "insert into runs (incident_id, runbook_id, runbook_sha256, mode, queued_at)"
        f" values ({ACTED}, 'RB_OOM', repeat('0', 64), 'auto', now())",
    )
    async with opened(played_database) as source, browsing(source, incident_id=ACTED) as pilot:
        await answered(pilot)
        before = (await source.detail(ACTED))["analysis_markdown"]
        await pilot.press("R")
        await until(pilot, lambda: "the old stays: the run of incident 1 is queued" in told(pilot))
        assert (await source.detail(ACTED))["analysis_markdown"] == before
        await pilot.press("R")
        await until(pilot, lambda: told(pilot).count("the old stays") == 2)


async def test_resolve_asks_first_and_keeps_the_reason(played_database: str) -> None:
    async with opened(played_database) as source, browsing(source, incident_id=REFUSED) as pilot:
        await answered(pilot)
        await pilot.press("X")
        await seen(pilot, "Resolve incident 3?")
        await seen(pilot, "KubePodOOMKilled kube-system/coredns-wcldllcwc4-crfrb")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen))
        assert (await source.detail(REFUSED))["incident"]["status"] == "open"
        await pilot.press("X", *"fixed", "enter")
        await until(pilot, lambda: "Incident 3 is resolved." in told(pilot))
        last = (await source.detail(REFUSED))["events"][-1]
        assert (last["event_type"], last["payload"]["reason"]) == ("resolved", "resolved by ada: fixed")
        await until(pilot, lambda: "The replayed incident is resolved." in said(pilot, "#sentence"))
        await pilot.press("X")
        await until(pilot, lambda: "Incident 3 is resolved already." in told(pilot))
        assert isinstance(pilot.app.screen, DetailScreen)


async def test_what_another_person_did_while_one_was_asked_is_said(played_database: str) -> None:
    async with opened(played_database) as source, browsing(source, incident_id=REFUSED) as pilot:
        await answered(pilot)
        await pilot.press("X")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await source.resolve(REFUSED, None)
        await pilot.press("enter")
        await until(pilot, lambda: "Incident 3 was already resolved." in told(pilot))


class Refusing(DatabaseSource):
    """The database, which does not take a person's word the first time."""

    asked = 0

    async def resolve(self, incident_id: int, reason: str | None) -> dict[str, Any]:
        self.asked += 1
        if self.asked == 1:
            raise BadInput("not now")
        return await super().resolve(incident_id, reason)


async def test_a_reason_is_kept_where_what_was_asked_for_could_not_be_done(played_database: str) -> None:
    async with opened(played_database) as source:
        source.__class__ = Refusing
        async with browsing(source, incident_id=REFUSED) as pilot:
            await answered(pilot)
            await pilot.press("X", *"fixed", "enter")
            await until(pilot, lambda: "Incident 3 is not resolved: not now" in told(pilot))
            await pilot.press("X")
            await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
            assert pilot.app.screen.query_one(Input).value == "fixed"
            await pilot.press("enter")
            await until(pilot, lambda: "Incident 3 is resolved." in told(pilot))
        assert (await source.detail(REFUSED))["events"][-1]["payload"]["reason"] == "resolved by ada: fixed"


async def test_suppress_mutes_and_says_where_it_cannot(played_database: str) -> None:
    async with opened(played_database) as source, browsing(source, incident_id=REFUSED) as pilot:
        await answered(pilot)
        await pilot.press("S", "enter")
        await until(pilot, lambda: "Incident 3 is suppressed." in told(pilot))
        await until(pilot, lambda: "No run starts until it is resolved." in section(pilot, "next"))
        await pilot.press("S")
        await until(pilot, lambda: "Incident 3 is suppressed already." in told(pilot))
        await source.resolve(REFUSED, None)
        await seen(pilot, "KubePodOOMKilled resolved")
        await pilot.press("S")
        await until(pilot, lambda: "Incident 3 is resolved already." in told(pilot))
    with pytest.raises(StateForbids):
        async with opened(played_database) as source:
            await source.suppress(REFUSED, None)


async def test_what_others_change_is_seen_while_somebody_reads(played_database: str) -> None:
    async with (
        opened(played_database) as source,
        Store.open(played_database) as store,
        browsing(source, incident_id=ACTED) as pilot,
    ):
        await answered(pilot)
        await regenerate(store, ACTED, now=NOW)
        await pilot.press("2")
        await until(pilot, lambda: "written again" in said(pilot, "#about-analysis"), seconds=10)


async def test_an_unknown_id_is_said_with_the_nearest_and_q_leads_to_the_list(played_source: DatabaseSource) -> None:
    with pytest.raises(BadInput):
        await played_source.detail(99)
    async with browsing(played_source, incident_id=99) as pilot:
        await seen(pilot, "99 there is no incident 99: the nearest are 2, 3")
        await pilot.press("y", "R")
        await until(pilot, lambda: "there is no command to copy" in told(pilot))
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(pilot.app.screen, DetailScreen))


async def test_the_whole_help_stands_on_the_smallest_terminal(played_source: DatabaseSource) -> None:
    async with browsing(played_source) as pilot:
        await pilot.press("question_mark")
        await seen(pilot, "– · nothing done, no run has ended yet")
        assert "j k ↓ ↑ down, up" in text(pilot)
        assert pilot.app.screen.query_one(Page).max_scroll_y == 0


async def test_without_colour_the_selected_event_is_told_apart(
    played_source: DatabaseSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with browsing(played_source, incident_id=ACTED) as pilot:
        await answered(pilot)
        await pilot.press("4")
        await seen(pilot, "webhook_received")
        highlighted = pilot.app.screen.query_one("#events").get_component_rich_style("option-list--option-highlighted")
        assert highlighted.reverse


async def test_help_lists_the_keys_and_the_palette_the_actions(played_source: DatabaseSource) -> None:
    async with browsing(played_source, incident_id=ACTED, size=LARGE) as pilot:
        await answered(pilot)
        await pilot.press("question_mark")
        await seen(pilot, "copy the kubectl command, over ssh too")
        await pilot.press("escape", "ctrl+p")
        await seen(pilot, "Regenerate the analysis")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen))
        assert pilot.app.screen.query_one(AnswerPage).has_focus
