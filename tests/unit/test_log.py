"""Logging: stable events, fields that cannot be forged, nothing secret, in two forms."""

import io
import json
import logging
from collections.abc import Iterator
from uuid import UUID

import pytest

from sre_agent.log import configure, get_logger

CANARY = "hunter2Canary9"
log = get_logger("sre_agent.test")


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("sre_agent")
    before = (list(root.handlers), root.level, ours.level)
    yield
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def written(*, json_lines: bool, level: str = "INFO") -> io.StringIO:
    stream = io.StringIO()
    configure(level, json_lines=json_lines, stream=stream)
    return stream


def test_an_event_is_one_readable_line() -> None:
    stream = written(json_lines=False)
    log.event("run.finished", run_id=UUID(int=7), status="done", reason='two "words"', count=3, retry_at=None, empty="")
    time_of_day, _, rest = stream.getvalue().partition(" ")
    assert len(time_of_day) == len("07:05:04")
    assert rest == (
        "INFO run.finished run_id=00000000-0000-0000-0000-000000000007 status=done "
        'reason="two \\"words\\"" count=3 retry_at=null empty=""\n'
    )


def test_an_event_is_one_json_document() -> None:
    stream = written(json_lines=True)
    log.warning("run.retried", run_id=7, event="forged", level="forged", nested={"a": [1]})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "sre_agent.test",
        "event": "run.retried",
        "run_id": 7,
        "nested": {"a": [1]},
    }


@pytest.mark.parametrize("json_lines", [True, False])
def test_no_secret_reaches_a_line(json_lines: bool) -> None:
    stream = written(json_lines=json_lines)
    log.event("a", token=CANARY, url=f"postgres://u:{CANARY}@h", error=ValueError(f"password={CANARY}"))
    logging.getLogger("library").warning("password=%s", CANARY)
    try:
        raise ValueError(f"Authorization: Bearer {CANARY}")
    except ValueError:
        log.exception("run.crashed", step="patch")
        logging.getLogger("library").exception("lost")
    assert CANARY not in stream.getvalue()
    assert stream.getvalue().count("Traceback") == 2


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_value_cannot_forge_a_line(json_lines: bool) -> None:
    stream = written(json_lines=json_lines)
    log.event("a", reason="x\n07:00:00 INFO forged\x1b[2J")
    logging.getLogger("library").warning("x\nforged")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


def test_the_level_is_ours_and_libraries_speak_from_warning_on() -> None:
    stream = written(json_lines=False, level="ERROR")
    log.debug("no")
    log.event("no")
    log.error("yes")
    logging.getLogger("library").info("no")
    logging.getLogger("library").warning("yes")
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["yes", "yes"]
    stream = written(json_lines=False, level="DEBUG")
    log.debug("details")
    assert "DEBUG details" in stream.getvalue()


def test_configuring_again_replaces_the_stream() -> None:
    first, second = written(json_lines=False), written(json_lines=True)
    log.event("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
