"""The border where values become parameters, and the files where the queries stand."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre_agent.store import Disposition, Store
from sre_agent.store.queries import load, query
from sre_agent.store.values import INDEXED_BYTES, indexed
from tests.store.store_builders import NOW, new_incident, receive, received


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("KubePodOOMKilled:demo:app:app", id="a usual key"),
        pytest.param("x" * INDEXED_BYTES, id="as long as it may be"),
    ],
)
def test_a_text_that_fits_an_index_stays_as_it_is(text: str) -> None:
    assert indexed(text) == text


@given(start=st.text(max_size=600), a=st.text(min_size=512, max_size=600), b=st.text(min_size=512, max_size=600))
def test_a_long_text_is_cut_to_fit_and_stays_different_from_others(start: str, a: str, b: str) -> None:
    assert len(indexed(start + a).encode()) <= INDEXED_BYTES
    assert (indexed(start + a) == indexed(start + b)) == (a == b)


async def test_names_without_end_open_an_incident_and_are_found_again(store: Store) -> None:
    endless = {
        name: chr(0x4E00 + n) * 5000
        for n, name in enumerate(
            ("cluster", "dedup_key", "alertname", "namespace", "pod", "workload", "node", "container", "severity")
        )
    }
    new = new_incident(**endless)
    opened = await receive(store, new)
    assert (await receive(store, new)).disposition is Disposition.SUPPRESSED
    assert await store.note(new.problem, received(), now=NOW) == opened.incident_id
    assert await store.resolve(new.problem, now=NOW, by="alertmanager", reason="it came") == opened.incident_id


async def test_text_that_postgresql_refuses_is_not_stored(store: Store) -> None:
    new = new_incident(namespace="de\0mo", dedup_key="a\0b", severity="\ud800", labels={"a\0": "\0"})
    receipt = await receive(store, new)
    incident = await store.incident(receipt.incident_id)
    assert incident is not None
    assert (incident.namespace, incident.severity, incident.labels) == ("demo", "", {"a": ""})
    assert incident.dedup_key.startswith("ab~")
    assert (await receive(store, new)).incident_id == receipt.incident_id


def test_queries_are_read_by_name_up_to_the_next_name(tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text("-- about the file\n\n-- name: first\nselect 1;\n\n-- name: second\nselect 2;\n")
    (tmp_path / "two.sql").write_text("-- name: third\n-- why\nselect 3;\n")
    assert load(tmp_path) == {"first": b"select 1;", "second": b"select 2;", "third": b"-- why\nselect 3;"}


def test_a_name_stands_for_one_query(tmp_path: Path) -> None:
    for name in ("one.sql", "two.sql"):
        (tmp_path / name).write_text("-- name: same\nselect 1;\n")
    with pytest.raises(ValueError, match=r"two\.sql: the query `same` is defined twice"):
        load(tmp_path)


def test_the_shipped_queries_are_found() -> None:
    assert query("events").startswith(b"select")
