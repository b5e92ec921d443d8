"""`db verify-audit` and `db prune` as their user meets them."""

import asyncio
import io
import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sre_agent.cli.main import run
from tests.replay.answers import document, listed, told
from tests.store.store_builders import execute


def test_an_honest_database_is_whole(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "db", "verify-audit").startswith("whole: 3 incidents, ")
    found = document(capsys, "db", "verify-audit")
    assert found["broken"] == []
    assert (found["incidents"], found["checkpoints"]) == (3, 0)
    assert found["events"] == sum(len(document(capsys, "show", str(n))["events"]) for n in (1, 2, 3))


def test_a_broken_chain_ends_with_1_and_names_the_first_broken_row(
    book: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(
        book,
        "set session_replication_role = replica;"
        "update incident_events set payload = '{}' where incident_id = 2 and seq > 1;"
        "delete from incident_ledger where incident_id = 3",
    )
    shown = told(capsys, "db", "verify-audit", code=1)
    events = {event["seq"]: event["id"] for event in document(capsys, "show", "2")["events"]}
    assert f"broken: incident 2, event seq 2 [event {events[2]}]: its content does not fit its hash" in shown
    assert "broken: incident 3: the incident does not stand in the ledger" in shown
    found = document(capsys, "db", "verify-audit", code=1)
    assert [(row["incident_id"], row["seq"], row["event_id"]) for row in found["broken"]] == [
        (2, 2, events[2]),
        (3, None, None),
    ]


def test_many_broken_chains_are_counted(
    book: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sre_agent.cli.db.MOST_BROKEN", 1)
    execute(book, "set session_replication_role = replica; delete from incident_ledger")
    assert "broken: 2 incidents more" in told(capsys, "db", "verify-audit", code=1)


def resolve_long_ago(database: str, *incident_ids: int) -> datetime:
    """Resolves incidents through the book, then moves the moment back; returns a moment after it."""
    for incident_id in incident_ids:
        assert run(["resolve", str(incident_id)]) == 0
    execute(database, "update incidents set resolved_at = '2020-01-01' where status = 'resolved'")
    return datetime(2020, 1, 2, tzinfo=UTC)


def test_a_prune_without_a_terminal_needs_yes(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    resolve_long_ago(book, 1, 2)
    capsys.readouterr()
    assert run(["db", "prune", "--before", "2020-01-02"]) == 2
    assert "remove 2 incidents with" in (said := capsys.readouterr().err)
    assert "add --yes" in said
    assert len(listed(capsys)) == 3


def test_a_prune_removes_and_leaves_what_verify_accepts(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    resolve_long_ago(book, 1, 2)
    capsys.readouterr()
    found = document(capsys, "db", "prune", "--before", "2020-01-02", "--yes")
    assert found["removed"]["incidents"] == 2
    assert listed(capsys) == [3]
    assert run(["show", "1"]) == 2
    assert "was removed by `sre-agent db prune`" in capsys.readouterr().err
    assert document(capsys, "db", "verify-audit")["checkpoints"] == 2
    assert told(capsys, "db", "prune", "--before", "2020-01-02") == "nothing to remove\n"
    with psycopg.connect(book) as connection:
        (left,) = connection.execute("select count(*) from evidence where incident_id in (1, 2)").fetchone() or (None,)
    assert left == 0


class Person(io.StringIO):
    """Somebody at a terminal, who can only answer where ctrl-C would be heard: outside an event loop."""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return super().readline(-1 if size is None else size)


@pytest.mark.parametrize(
    ("typed", "code", "left"),
    [
        pytest.param("y\n", 0, 2, id="yes"),
        pytest.param("n\n", 1, 3, id="no"),
        pytest.param("\n", 1, 3, id="no word"),
        pytest.param("", 1, 3, id="ctrl-D"),
    ],
)
def test_a_prune_asks_on_a_terminal(
    typed: str,
    code: int,
    left: int,
    book: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_long_ago(book, 1)
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", Person(typed))
    assert run(["db", "prune", "--before", "2020-01-02"]) == code
    shown = capsys.readouterr()
    assert shown.err.startswith("Remove 1 incident with")
    assert ("nothing was removed" in shown.err) == (code == 1)
    assert ("removed 1 incident" in shown.out) == (code == 0)
    assert len(listed(capsys)) == left


def test_pruning_looks_at_when_an_incident_was_resolved(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = resolve_long_ago(book, 1) - timedelta(days=10)
    capsys.readouterr()
    assert told(capsys, "db", "prune", "--before", before.isoformat(), "--yes") == "nothing to remove\n"
