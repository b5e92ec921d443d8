"""`incidents`, `show`, `suppress` and `resolve` as their user meets them, and what all commands on incidents share."""

import io
import json
import re
import sys

import pytest
from rich.cells import cell_len

from sre_agent.cli import incidents as incidents_command
from sre_agent.cli.main import run
from sre_agent.cli.streams import taken_over
from sre_agent.resources import data_path
from tests.replay.answers import document, listed, told
from tests.store.store_builders import execute

EXAMPLES = data_path("examples")
INCIDENT_KEYS = {
    "id",
    "origin",
    "cluster",
    "fingerprint",
    "dedup_key",
    "alertname",
    "namespace",
    "pod",
    "container",
    "node",
    "workload",
    "severity",
    "runbook_id",
    "status",
    "agent_mode",
    "summary",
    "summary_embedding",
    "action_taken",
    "action_recommended",
    "action_error",
    "labels",
    "annotations",
    "suppressed_count",
    "starts_at",
    "created_at",
    "updated_at",
    "resolved_at",
}
PAST_KEYS = {
    "id",
    "alertname",
    "namespace",
    "pod",
    "runbook_id",
    "action_taken",
    "action_recommended",
    "action_error",
    "created_at",
}


@pytest.fixture
def empty(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", database)
    return database


def test_a_listed_incident_has_every_key_of_the_specification(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "incidents")
    assert found.keys() == {"incidents", "next_cursor"}
    assert found["next_cursor"] is None
    assert [incident.keys() for incident in found["incidents"]] == [INCIDENT_KEYS] * 3
    acted = next(incident for incident in found["incidents"] if incident["id"] == 1)
    assert acted["origin"] == "replay"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", acted["updated_at"])
    assert acted["action_taken"].startswith("patch_memory_limit:")
    assert acted["action_error"] is None


FILTERS = [
    pytest.param(["--origin", "live"], [], id="no live one"),
    pytest.param(["--origin", "replay"], [1, 2, 3], id="replays"),
    pytest.param(["--alert", "KubePodCrashLoopBackOff"], [1], id="alert"),
    pytest.param(["--namespace", "kube-system"], [3], id="namespace"),
    pytest.param(["--node", "no-such-node"], [], id="node"),
    pytest.param(["--severity", "warning"], [1, 2, 3], id="severity"),
    pytest.param(["--runbook", "RB_CRASHLOOP"], [1], id="runbook"),
    pytest.param(["--status", "resolved"], [], id="status"),
    pytest.param(["--since", "2020-01-01"], [1, 2, 3], id="since a date"),
    pytest.param(["--since", "2099-01-01T00:00+02:00"], [], id="since a time to come"),
    pytest.param(["--text", "oomk shop"], [2], id="text"),
]


@pytest.mark.parametrize(("arguments", "expected"), FILTERS)
def test_a_filter_leaves_what_fits(
    arguments: list[str], expected: list[int], book: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(listed(capsys, *arguments)) == expected


def test_pages_follow_each_other_by_cursor_and_by_offset(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    everything = listed(capsys)
    first = document(capsys, "incidents", "--limit", "2")
    assert [incident["id"] for incident in first["incidents"]] == everything[:2]
    assert listed(capsys, "--cursor", first["next_cursor"]) == everything[2:]
    assert listed(capsys, "--offset", "2") == everything[2:]
    assert run(["incidents", "--limit", "2"]) == 0
    assert f"--cursor {first['next_cursor']}" in capsys.readouterr().err


def test_the_table_tells_where_what_and_how_in_80_columns(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "incidents")
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert "open, replay, warning, RB_CRASHLOOP:" in shown
    assert "✓ patch_memory_limit:" in shown
    assert "→ patch_memory_limit:shop/checkout/app:128Mi→256Mi" in shown
    assert "nothing done" in shown
    assert "shop/checkout-6f7c9d8b54-zpzzn" in shown


def test_an_empty_list_says_why(empty: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["incidents"]) == 0
    assert "no incident is stored yet" in capsys.readouterr().err
    assert run(["incidents", "--status", "open"]) == 0
    assert "no incident fits" in capsys.readouterr().err


def test_behind_the_end_of_the_list_nothing_fits(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (["--offset", "3"], ["--offset", str(2**63 - 1)], ["--cursor", "0-1"]):
        assert run(["incidents", *place]) == 0
        assert capsys.readouterr() == ("", "no incident fits\n")


@pytest.mark.parametrize("columns", [60, 80])
def test_wide_characters_and_long_names_stay_in_their_columns(
    columns: int, book: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    execute(
        book,
        "update incidents set alertname = repeat('内存不足', 30), namespace = repeat('é', 120),"
        " pod = repeat('x', 500), action_error = repeat('调整 \U0001f600', 40) where id = 2;"
        "insert into incident_events (incident_id, ts, event_type, payload) values (2, now(), 'analysis',"
        """ jsonb_build_object('analysis_markdown', '- ' || repeat('内存', 90), 'regenerated', true))""",
    )
    for command in (["incidents"], ["show", "2", "--events"]):
        shown = told(capsys, *command)
        assert "内存不足内存不足" in shown
        assert [line for line in shown.splitlines() if cell_len(line) > columns] == []


def test_an_output_that_has_no_arrow_gets_it_escaped(book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = {}
    for form in ("", "--json"):
        kept = io.BytesIO()
        terminal = io.TextIOWrapper(kept, encoding="ascii")
        monkeypatch.setattr(sys, "stdout", taken_over(terminal))
        assert run(["incidents", "--namespace", "shop", *filter(None, [form])]) == 0
        written[form] = kept.getvalue().decode("ascii")
    assert "\\u2192 patch_memory_limit:" in written[""]
    (incident,) = json.loads(written["--json"])["incidents"]
    assert incident["action_recommended"] == "patch_memory_limit:shop/checkout/app:128Mi→256Mi"


COMMANDS = [
    pytest.param(["incidents"], id="incidents"),
    pytest.param(["show", "1"], id="show"),
    pytest.param(["suppress", "1"], id="suppress"),
    pytest.param(["resolve", "1"], id="resolve"),
    pytest.param(["db", "verify-audit"], id="verify-audit"),
    pytest.param(["db", "prune", "--before", "1d", "--yes"], id="prune"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_is_away_or_old_ends_with_3(
    command: list[str],
    blank_database: str,
    unused_tcp_port: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://agent@127.0.0.1:{unused_tcp_port}/sre")
    assert run(command) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"cannot reach PostgreSQL (database sre at 127.0.0.1:{unused_tcp_port}" in shown.err
    monkeypatch.setenv("DATABASE_URL", blank_database)
    assert run(command) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "run `sre-agent db migrate`" in shown.err


BAD = [
    pytest.param(["incidents", "--since", "yesterday"], "2026-11-23", id="a date that is none"),
    pytest.param(["incidents", "--since", "2026-02-30"], "2026-11-23", id="a day that is none"),
    pytest.param(["incidents", "--since", "7 parsecs"], "7d", id="a duration that is none"),
    pytest.param(["incidents", "--status", "closed"], "'suppressed'", id="an unknown status"),
    pytest.param(["incidents", "--origin", "mars"], "'replay'", id="an unknown origin"),
    pytest.param(["incidents", "--limit", "0"], "1", id="a limit of none"),
    pytest.param(["incidents", "--limit", "201"], "200", id="a limit too large"),
    pytest.param(["incidents", "--cursor", "abc"], "next_cursor", id="a cursor that is none"),
    pytest.param(["incidents", "--text", "!"], "letter or digit", id="a text without a word"),
    pytest.param(["incidents", "--colour", "red"], "--colour", id="an unknown filter"),
    pytest.param(["show", "99"], "the nearest are 2, 3", id="an unknown incident"),
    pytest.param(["show", "9223372036854775808"], "ID", id="an id that no database has"),
    pytest.param(["show", "abc"], "ID", id="no id"),
    pytest.param(["show", "0"], "ID", id="an id below all"),
    pytest.param(["show", "-1"], "No such option", id="a negative id"),
    pytest.param(["incidents", "--text", "x" * 10_000], "at most 200 characters", id="a text too long"),
    pytest.param(["resolve", "99"], "the nearest are 2, 3", id="resolving an unknown one"),
    pytest.param(["suppress", "99"], "the nearest are 2, 3", id="suppressing an unknown one"),
    pytest.param(["db", "prune", "--before", "soon"], "90d|7d", id="a date to prune before that is none"),
    pytest.param(["db", "prune"], "--before", id="pruning without a date"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_input_ends_with_2_and_what_is_allowed(
    arguments: list[str], words: str, book: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert any(word in shown.err for word in words.split("|"))
    assert "Traceback" not in shown.err


def test_the_detail_is_the_document_of_the_api(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "show", "2")
    assert found.keys() == {"incident", "events", "analysis_markdown", "past_incidents"}
    assert found["incident"].keys() == INCIDENT_KEYS
    assert found["incident"]["action_recommended"] == "patch_memory_limit:shop/checkout/app:128Mi→256Mi"
    assert [event["seq"] for event in found["events"]] == list(range(1, len(found["events"]) + 1))
    assert found["events"][0]["event_type"] == "webhook_received"
    assert all(event.keys() >= {"id", "incident_id", "ts", "event_type", "payload"} for event in found["events"])
    assert {past["id"] for past in found["past_incidents"]} == {3}
    assert all(past.keys() >= PAST_KEYS for past in found["past_incidents"])


def test_the_newest_analysis_is_the_one_that_is_shown(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("older", "## Summary\\n\\n1. **newer** words, `code` [event 12]\\n   - and more"):
        execute(
            book,
            "insert into incident_events (incident_id, ts, event_type, payload) values (3, now(), 'analysis',"
            f""" '{{"analysis_markdown": "{words}", "runbook_id": "RB_OOM", "regenerated": true}}')""",
        )
    assert document(capsys, "show", "3")["analysis_markdown"].startswith("## Summary")
    shown = told(capsys, "show", "3", "--events")
    assert "\nSummary\n\n1. newer words, code [event 12]\n   • and more\n" in shown
    assert "older" not in shown
    assert shown.count("written again") == 2


ANSWERS = [
    pytest.param("1", "The agent did patch_memory_limit:", id="acted"),
    pytest.param("2", "The agent recommends patch_memory_limit:shop/checkout/app:128Mi→256Mi and", id="recommended"),
    pytest.param("3", "The agent changed nothing: ", id="refused"),
]


@pytest.mark.parametrize(("incident_id", "sentence"), ANSWERS)
def test_the_answer_comes_first(incident_id: str, sentence: str, book: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "show", incident_id).splitlines()
    assert f"incident {incident_id} ·" in lines[0]
    assert " ".join(lines[1:4]).startswith(sentence)
    assert [line for line in lines if len(line) > 80] == []


def test_an_error_is_the_answer_where_there_is_one(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    execute(book, "update incidents set action_error = 'patch_image: timed out' where id = 1")
    shown = told(capsys, "show", "1")
    assert "The agent failed: patch_image: timed out, after patch_memory_limit:" in shown.replace("\n", " ")


def test_an_incident_whose_run_has_not_ended_says_so(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    execute(
        book,
        "set session_replication_role = replica; delete from incident_events where incident_id = 2 and seq > 1;"
        "update incidents set action_recommended = null, summary = null where id = 2",
    )
    assert "No run has ended yet. The replayed incident is open." in told(capsys, "show", "2")
    assert "no run has ended" in told(capsys, "incidents")


def test_a_shown_incident_has_steps_change_and_past(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "show", "2")
    assert "→ increase_memory_limit proposed" in shown
    assert "allowed by: AGENT_MODE=auto" in shown
    assert "    - 128Mi\n    + 256Mi\n" in shown
    assert "$ kubectl -n shop set resources deployment/checkout" in shown
    assert "kube-system/coredns" in shown
    assert "timeline" not in shown.splitlines()[0]


def test_the_past_is_marked_by_what_was_done(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    execute(
        book,
        "insert into incidents (origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, status,"
        " agent_mode, labels, annotations, action_taken, action_recommended, action_error, created_at, updated_at)"
        " select origin, n::text, cluster, 'f', n::text, alertname, namespace, pod, 'open', 'auto', '{}', '{}',"
        " case n % 3 when 0 then 'did ' || n end, case n % 3 when 1 then 'advised ' || n end,"
        " case n % 3 when 2 then 'broke ' || n end, created_at - n * interval '1 day', updated_at"
        " from incidents, generate_series(1, 60) as n where id = 2",
    )
    shown = told(capsys, "show", "2")
    assert all(words in shown for words in ("→ advised 1", "✗ broke 2", "✓ did 3"))
    assert "50 similar, newest first" in shown
    assert "and 40 more" in shown


def test_the_timeline_names_each_event(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "show", "1")
    shown = told(capsys, "show", "1", "--events")
    for event in found["events"]:
        assert f"[event {event['id']}]" in shown
    assert "about to send patch_memory_limit:" in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_an_incident_whose_events_were_changed_can_still_be_looked_at(
    book: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(book, """set session_replication_role = replica; update incident_events set payload = '{"forged": 1}'""")
    shown = told(capsys, "show", "1", "--events")
    assert shown.count('{"forged": 1}') == len(document(capsys, "show", "1")["events"])


def test_an_event_without_a_form_of_its_own_is_shown_as_json(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    for event_type, payload in {
        "verified": '{"healthy": true}',
        "escalated": '{"reason": "nobody was there"}',
        "resolved": '{"by": "alertmanager", "reason": "over"}',
    }.items():
        execute(
            book,
            "insert into incident_events (incident_id, ts, event_type, payload)"
            f" values (1, now(), '{event_type}', '{payload}')",
        )
    shown = told(capsys, "show", "1", "--events")
    assert all(words in shown for words in ('{"healthy": true}', "nobody was there", "over"))


def test_a_person_resolves_and_suppresses_with_a_reason(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "suppress", "1", "--reason", "known") == "incident 1 is suppressed\n"
    assert told(capsys, "suppress", "1") == "incident 1 was already suppressed\n"
    found = document(capsys, "resolve", "1", "--reason", "fixed")
    assert (found["changed"], found["incident"]["status"]) == (True, "resolved")
    assert document(capsys, "resolve", "1")["changed"] is False
    said = [event["payload"] for event in document(capsys, "show", "1")["events"]][-2:]
    assert "known" in said[0]["reason"]
    assert said[1]["by"] == "person"
    assert "fixed" in said[1]["reason"]
    assert run(["suppress", "1"]) == 2
    assert "only an open one" in capsys.readouterr().err


def test_a_user_without_a_name_has_a_number(
    book: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert incidents_command.user() == "user 4711"


@pytest.mark.parametrize(
    "command",
    [["incidents"], ["show"], ["suppress"], ["resolve"], ["db", "verify-audit"], ["db", "prune"]],
)
def test_help_fits_into_80_columns_and_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, *command, "--help")
    assert "Example" in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []
