"""Evidence that is not what was kept, or that this version cannot read, is told in words and never replayed."""

import hashlib
import zlib
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from sre_agent.errors import BadInput, SreAgentError
from sre_agent.kept_evidence import read_back
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from sre_agent.store.evidence import Sealed
from tests.executor.evidence_builders import run_on


async def test_a_changed_object_is_told_and_not_replayed(store: Store, database: str) -> None:
    record = await run_on(store)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update evidence_objects set body = %s", (Sealed.of({"kind": "Pod"}).body,))
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    with pytest.raises(BadInput, match=rf"incident {record.incident_id} .* was changed after it had been kept"):
        read_back(kept, load_settings({"HOME": "/"}))


@pytest.mark.parametrize("place", [0, 1])
async def test_an_object_that_is_gone_does_not_let_another_take_its_place(
    store: Store, database: str, place: int
) -> None:
    record = await run_on(store)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from evidence_parts where place = %s", (place,))
    with pytest.raises(BadInput, match=f"incident {record.incident_id} .* is gone"):
        await store.evidence.newest(record.incident_id or 0)


async def test_a_last_object_that_is_gone_is_told(store: Store, database: str) -> None:
    record = await run_on(store)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from evidence_parts where place = (select max(place) from evidence_parts)")
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    with pytest.raises(BadInput, match="IndexError"):
        read_back(kept, load_settings({"HOME": "/"}))


NO_OBJECTS = [
    pytest.param(Sealed.of(7), id="a number"),
    pytest.param(Sealed.of([1]), id="a list"),
    pytest.param(Sealed.of({"metadata": None}), id="no metadata"),
    pytest.param(Sealed(sha256=hashlib.sha256(b"{").digest(), body=zlib.compress(b"{")), id="no JSON"),
]


@pytest.mark.parametrize("sealed", NO_OBJECTS)
async def test_what_is_no_object_is_refused_in_words(store: Store, sealed: Sealed) -> None:
    kept = await store.evidence.newest((await run_on(store)).incident_id or 0)
    assert kept is not None
    with pytest.raises(BadInput, match="its evidence cannot be read"):
        read_back(replace(kept, objects=(sealed,) * len(kept.objects)), load_settings({"HOME": "/"}))


UNREADABLE = [
    pytest.param({"format": 2}, "format 2", id="another format"),
    pytest.param({"answers": [{}]}, "KeyError", id="answers of another shape"),
    pytest.param({"moments": ["yesterday"]}, "ValueError", id="no moment"),
    pytest.param({"moments": []}, "no moment", id="no moments"),
    pytest.param({"decision": {"mode": "auto"}}, "KeyError", id="a decision without steps"),
    pytest.param({"decision": {"mode": "auto", "steps": [{}]}}, "KeyError", id="a step without a name"),
    pytest.param({"settings": None}, "TypeError", id="no settings"),
    pytest.param({"settings": {"SRE_AGENT_COOLDOWN": "often"}}, "SRE_AGENT_COOLDOWN", id="a setting that is refused"),
    pytest.param({"past": {"x": [7]}}, "TypeError", id="an action of another shape"),
]


@pytest.mark.parametrize(("changed", "words"), UNREADABLE)
async def test_a_record_that_cannot_be_read_is_refused_in_words(
    store: Store, changed: dict[str, Any], words: str
) -> None:
    record = await run_on(store)
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    with pytest.raises(BadInput, match=words) as refused:
        read_back(replace(kept, record=kept.record | changed), load_settings({"HOME": "/"}))
    assert f"incident {record.incident_id}" in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"nonsense", Sealed.of("x" * 100).body[:-3]])
def test_sealed_bytes_that_are_broken_are_refused(body: bytes) -> None:
    with pytest.raises(SreAgentError):
        Sealed(sha256=Sealed.of("x" * 100).sha256, body=body).open()


def test_equal_values_are_sealed_alike_whatever_the_order_of_their_keys() -> None:
    assert Sealed.of({"a": 1, "b": "é\ud800"}) == Sealed.of({"b": "é\ud800", "a": 1})
    assert Sealed.of({"a": ["é", None]}).open() == {"a": ["é", None]}
