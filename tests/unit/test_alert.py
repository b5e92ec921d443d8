"""Webhook bodies: what is read, what is refused and where, what only one alert loses."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre_agent import alert
from sre_agent.alert import (
    LONGEST_TEXT,
    MOST_ALERTS,
    MOST_TEXT,
    Alert,
    AlertStatus,
    BadPayload,
    Payload,
    fingerprint,
    parse,
)
from sre_agent.alert.decode import MOST_VALUES
from sre_agent.errors import BadInput

LABELS = {"alertname": "KubePodCrashLooping", "namespace": "demo", "pod": "app-1"}
GOOD = {"status": "firing", "labels": LABELS}
ZERO = "0001-01-01T00:00:00Z"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["alerts", "labels", "status", "startsAt", "a"]) | st.text(), inner)
    ),
    max_leaves=20,
)


def body(*alerts: Any, **group: Any) -> bytes:
    return json.dumps({**group, "alerts": list(alerts)}).encode()


def read(*alerts: Any, **group: Any) -> Payload:
    return parse(body(*alerts, **group), source="body.json")


def one(entry: Any, **group: Any) -> Alert:
    payload = read(entry, **group)
    assert payload.rejected == ()
    (only,) = payload.alerts
    return only


def refusal(raw: bytes) -> str:
    with pytest.raises(BadInput) as error:
        parse(raw, source="body.json")
    assert str(error.value).startswith("body.json: ")
    return str(error.value).removeprefix("body.json: ")


def test_everything_of_a_full_body_is_read() -> None:
    payload = read(
        {
            **GOOD,
            "annotations": {"summary": "restarting"},
            "startsAt": "2020-02-26T07:05:04.989876849Z",
            "endsAt": ZERO,
            "generatorURL": "http://prometheus/graph",
            "fingerprint": "a4c6c4f7a49ca0ae",
            "values": {"A": 1.5},
        },
        receiver=r"team\.web",
        status="firing",
        externalURL="http://alertmanager",
        groupKey='{}:{alertname="x"}',
        truncatedAlerts=37,
        notification_reason="first notification",
    )
    assert payload == Payload(
        alerts=(
            Alert(
                index=0,
                status=AlertStatus.FIRING,
                labels=LABELS,
                annotations={"summary": "restarting"},
                starts_at=datetime(2020, 2, 26, 7, 5, 4, 989876, tzinfo=UTC),
                ends_at=None,
                fingerprint="a4c6c4f7a49ca0ae",
                generator_url="http://prometheus/graph",
                group_key='{}:{alertname="x"}',
            ),
        ),
        rejected=(),
        truncated_alerts=37,
        receiver=r"team\.web",
        external_url="http://alertmanager",
        group_key='{}:{alertname="x"}',
    )
    assert payload.alerts[0].name == "KubePodCrashLooping"


def test_labels_are_enough_for_an_alert() -> None:
    only = one({"labels": {"instance": "web-1"}})
    assert (only.status, only.annotations, only.starts_at, only.ends_at) == (AlertStatus.FIRING, {}, None, None)
    assert (only.generator_url, only.group_key, only.name) == ("", None, "")
    assert only.fingerprint == fingerprint({"instance": "web-1"})


def test_an_alert_may_have_no_label_at_all() -> None:
    assert one({"labels": {}}, groupKey="g").group_key == "g"


def test_a_body_without_alerts_is_a_payload() -> None:
    assert read() == Payload(alerts=(), rejected=(), truncated_alerts=0, receiver="", external_url="", group_key=None)


def test_a_byte_order_mark_is_no_fault() -> None:
    assert len(parse(b"\xef\xbb\xbf" + body(GOOD), source="body.json").alerts) == 1


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(b"", "body: empty; send the JSON object of an Alertmanager webhook", id="empty"),
        pytest.param(b" \r\n\t", "body: empty; send the JSON object of an Alertmanager webhook", id="blank"),
        pytest.param(b"\xef\xbb\xbf", "body: empty; send the JSON object of an Alertmanager webhook", id="BOM alone"),
        pytest.param(b"[1]", "$: the body is a list; send an object with a list `alerts`", id="a list"),
        pytest.param(b"null", "$: the body is null; send an object with a list `alerts`", id="null"),
        pytest.param(b"true", "$: the body is a boolean; send an object with a list `alerts`", id="a boolean"),
        pytest.param(b"4.5", "$: the body is a number; send an object with a list `alerts`", id="a number"),
        pytest.param(
            json.dumps(json.dumps({"alerts": []})).encode(),
            "$: the body is a JSON string; send the object itself",
            id="JSON inside a JSON string",
        ),
        pytest.param(b"{}", "$.alerts: missing; a webhook body of Alertmanager has a list `alerts`", id="no alerts"),
        pytest.param(b'{"alerts": {}}', "$.alerts: an object, but must be a list", id="alerts not a list"),
        pytest.param(b'{"alerts": null}', "$.alerts: null, but must be a list", id="alerts null"),
        pytest.param(
            b'{"alerts": [], "alerts": []}', '$: the key "alerts" stands there twice', id="a repeated key on top"
        ),
        pytest.param(
            b'{"alerts": [], "x": [{"a b": {"y": 1, "y": 1}}]}',
            '$.x[0]["a b"]: the key "y" stands there twice',
            id="a repeated key beside the alerts",
        ),
    ],
)
def test_a_body_of_another_shape_is_refused_with_its_path(raw: bytes, message: str) -> None:
    assert refusal(raw) == message


@pytest.mark.parametrize(
    ("raw", "start"),
    [
        pytest.param(b'{"alerts": [] ]', "byte 14 (line 1, column 15): not JSON: ", id="a bracket that closes nothing"),
        pytest.param(b'{\n  "\xc3\xa9": x}', "byte 10 (line 2, column 8): not JSON: ", id="bytes are not characters"),
        pytest.param(b"\xef\xbb\xbf{x", "byte 4 (line 1, column 2): not JSON: ", id="a BOM counts"),
        pytest.param(b'{"a": "\xff"}', "byte 7: not UTF-8 text", id="invalid UTF-8"),
        pytest.param(b"\xef\xbb\xbf\x80", "byte 3: not UTF-8 text", id="invalid UTF-8 behind a BOM"),
        pytest.param('{"alerts": []}'.encode("utf-16"), "byte 0: not UTF-8 text", id="UTF-16"),
        pytest.param(b'{"a": NaN}', "byte 6 (line 1, column 7): NaN is not a JSON value", id="NaN"),
        pytest.param(
            b'{"a": "NaN \\" NaN",\n"b": -Infinity}',
            "byte 25 (line 2, column 6): -Infinity is not a JSON value",
            id="Infinity, not the NaN inside a string",
        ),
        pytest.param(b"[" * 200_000, "body: nested too deeply to be a payload", id="nested too deeply"),
    ],
)
def test_what_is_not_json_is_refused_with_its_byte(raw: bytes, start: str) -> None:
    assert refusal(raw).startswith(start)


def test_a_body_above_32_mib_is_refused_with_its_size() -> None:
    assert refusal(b" " * (alert.MAX_BYTES + 1)) == "body: 33554433 bytes; at most 33554432 (32 MiB) are taken"
    assert refusal(b" " * alert.MAX_BYTES).startswith("body: empty")


@pytest.mark.parametrize(
    ("bad", "path", "reason"),
    [
        pytest.param(7, "$.alerts[1]", "a number, but an alert is an object", id="not an object"),
        pytest.param({}, "$.alerts[1].labels", "missing; an alert has an object `labels`", id="no labels"),
        pytest.param(
            {"labels": None}, "$.alerts[1].labels", "null, but must be an object of strings", id="labels null"
        ),
        pytest.param({"labels": "x"}, "$.alerts[1].labels", "a string, but must be an object of strings", id="text"),
        pytest.param({"labels": {"pod": 1}}, "$.alerts[1].labels.pod", "a number, but must be a string", id="number"),
        pytest.param(
            {"labels": {"a b": True}}, '$.alerts[1].labels["a b"]', "a boolean, but must be a string", id="boolean"
        ),
        pytest.param(
            {"labels": {"pod": "a\x00b"}},
            "$.alerts[1].labels.pod",
            "holds a NUL or half a surrogate pair, which is no text",
            id="NUL",
        ),
        pytest.param(
            {"labels": {"\ud800": "x"}},
            '$.alerts[1].labels["\\ud800"]',
            "holds a NUL or half a surrogate pair, which is no text",
            id="lone surrogate",
        ),
        pytest.param(
            {**GOOD, "annotations": ["x"]},
            "$.alerts[1].annotations",
            "a list, but must be an object of strings",
            id="annotations a list",
        ),
        pytest.param(
            {**GOOD, "status": "pending"},
            "$.alerts[1].status",
            '"pending" is neither firing nor resolved',
            id="unknown status",
        ),
        pytest.param(
            {**GOOD, "status": []}, "$.alerts[1].status", "[] is neither firing nor resolved", id="status a list"
        ),
        pytest.param(
            {**GOOD, "startsAt": "$EVENT_TIMESTAMP_ISO"},
            "$.alerts[1].startsAt",
            '"$EVENT_TIMESTAMP_ISO" is not an RFC 3339 time such as 2024-01-15T10:30:00Z',
            id="a placeholder as time",
        ),
        pytest.param(
            {**GOOD, "startsAt": 1705314600},
            "$.alerts[1].startsAt",
            "a number, but must be an RFC 3339 time",
            id="Unix time",
        ),
        pytest.param(
            {**GOOD, "endsAt": "2024-13-01T00:00:00Z"},
            "$.alerts[1].endsAt",
            '"2024-13-01T00:00:00Z" is out of range',
            id="month 13",
        ),
        pytest.param(
            {"labels": {"environment": "prod"}, "title": "down", "starts_at": "2024-10-07T10:00:00Z"},
            "$.alerts[1]",
            "neither a status nor an alertname; this is not an alert of Alertmanager",
            id="another vendor's alert",
        ),
    ],
)
def test_one_bad_alert_does_not_lose_the_others(bad: Any, path: str, reason: str) -> None:
    payload = read(GOOD, bad, GOOD)
    assert [entry.index for entry in payload.alerts] == [0, 2]
    (rejected,) = payload.rejected
    assert (rejected.index, rejected.path, rejected.reason) == (1, path, reason)
    assert refusal(body(bad)) == f"{path.replace('[1]', '[0]')}: {reason} (alerts that could be read: 0 of 1)"


def test_a_repeated_key_costs_only_its_alert() -> None:
    good = json.dumps(GOOD)
    raw = f'{{"alerts": [{good}, {{"labels": {{"a": "1", "b": "2", "a": "3"}}}}, {good}]}}'.encode()
    payload = parse(raw, source="body.json")
    assert [entry.index for entry in payload.alerts] == [0, 2]
    assert [(entry.path, entry.reason) for entry in payload.rejected] == [
        ("$.alerts[1].labels", 'the key "a" stands there twice')
    ]


def test_a_key_named_alerts_inside_an_alert_is_looked_through_too() -> None:
    raw = b'{"alerts": [{"labels": {}, "alerts": {"x": 1, "x": 2}}], "nested": {"alerts": {"a": 1}}}'
    assert refusal(raw).startswith('$.alerts[0].alerts: the key "x" stands there twice')


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(refusal(body({**GOOD, "status": "x" * 10_000}))) < 250


@pytest.mark.parametrize(
    ("entry", "group", "status"),
    [
        pytest.param({"status": "resolved"}, {"status": "firing"}, "resolved", id="the alert's own"),
        pytest.param({"status": "firing"}, {"status": "nonsense"}, "firing", id="the group's is not asked then"),
        pytest.param({}, {"status": "resolved"}, "resolved", id="the group's"),
        pytest.param({"status": None}, {"status": "resolved"}, "resolved", id="null is absent"),
        pytest.param({"endsAt": "2024-01-01T00:00:00Z"}, {"status": "firing"}, "firing", id="group before endsAt"),
        pytest.param({"endsAt": "2024-01-01T00:00:00Z"}, {}, "resolved", id="an end"),
        pytest.param({"endsAt": ZERO}, {}, "firing", id="the zero year is no end"),
        pytest.param({"endsAt": "0000-12-31T19:00:00-05:00"}, {}, "firing", id="the zero time west of UTC"),
        pytest.param({"endsAt": "1970-01-01T00:00:00Z"}, {}, "firing", id="the epoch is no end"),
        pytest.param({"endsAt": "1970-01-01T08:00:00+08:00"}, {}, "firing", id="the epoch in another zone"),
        pytest.param(
            {"startsAt": "2024-01-01T00:00:00Z", "endsAt": "2024-01-01T00:00:01Z"}, {}, "resolved", id="end after start"
        ),
        pytest.param(
            {"startsAt": "2024-01-01T00:00:01Z", "endsAt": "2024-01-01T00:00:00Z"}, {}, "firing", id="end before start"
        ),
        pytest.param({}, {}, "firing", id="nothing known"),
    ],
)
def test_the_status_comes_from_alert_then_group_then_end(
    entry: dict[str, Any], group: dict[str, Any], status: str
) -> None:
    assert one({"labels": LABELS, **entry}, **group).status == status


def test_an_unknown_group_status_is_named_where_an_alert_needs_it() -> None:
    payload = read(GOOD, {"labels": LABELS}, status="alerting")
    assert len(payload.alerts) == 1
    assert payload.rejected[0].path == "$.status"


@pytest.mark.parametrize(
    ("given_key", "key"),
    [
        pytest.param("43434343434343434343", "43434343434343434343", id="a number above 2^64"),
        pytest.param("1" * 5000, "1" * 5000, id="a number longer than Python converts"),
        pytest.param("1.5", "1.5", id="a fraction"),
        pytest.param('"g"', "g", id="text"),
        pytest.param('""', None, id="empty"),
        pytest.param("null", None, id="null"),
        pytest.param("true", None, id="a boolean"),
    ],
)
def test_the_group_key_becomes_text(given_key: str, key: str | None) -> None:
    payload = parse(f'{{"groupKey": {given_key}, "alerts": [{json.dumps(GOOD)}]}}'.encode(), source="x")
    assert payload.group_key == payload.alerts[0].group_key == key


def test_an_alert_with_texts_without_end_is_refused_and_the_others_are_taken() -> None:
    many = {f"a{number:02}": "x" * (LONGEST_TEXT - 3) for number in range(MOST_TEXT // LONGEST_TEXT)}
    of_a_label = sum(len(name) + len(text) for name, text in LABELS.items())
    fits = {"labels": {}, "annotations": many}
    bad = {"labels": LABELS, "annotations": many}
    payload = parse(json.dumps({"alerts": [GOOD, fits, bad]}).encode(), source="x")
    assert len(payload.alerts) == 2
    (rejected,) = payload.rejected
    assert rejected.path == "$.alerts[2]"
    assert rejected.reason.startswith(f"{MOST_TEXT + of_a_label} characters in labels and annotations")


def test_commas_in_a_text_are_no_values() -> None:
    many = {"status": "firing", "labels": GOOD["labels"], "annotations": {"list": "a," * (LONGEST_TEXT // 2)}}
    alerts = [many] * (2 * MOST_VALUES // LONGEST_TEXT + 1)
    assert len(parse(json.dumps({"alerts": alerts}).encode(), source="x").alerts) == len(alerts)


@pytest.mark.parametrize("value", ["-1", "1.5", '"3"', "null", "true", "1" * 30])
def test_a_truncation_count_that_is_none_counts_as_zero(value: str) -> None:
    assert parse(f'{{"alerts": [], "truncatedAlerts": {value}}}'.encode(), source="x").truncated_alerts == 0


@pytest.mark.parametrize(
    ("given_fingerprint", "kept"),
    [
        pytest.param("83eb2c81e0da3faf", "83eb2c81e0da3faf", id="given"),
        pytest.param("from another sender", "from another sender", id="given in another form"),
        pytest.param("", fingerprint(LABELS), id="empty"),
        pytest.param(None, fingerprint(LABELS), id="null"),
        pytest.param(12, fingerprint(LABELS), id="not text"),
        pytest.param("a\x00", "a\ufffd", id="what cannot be stored is replaced"),
    ],
)
def test_a_given_fingerprint_is_used_and_a_missing_one_computed(given_fingerprint: Any, kept: str) -> None:
    assert one({**GOOD, "fingerprint": given_fingerprint}).fingerprint == kept


@pytest.mark.parametrize(
    ("labels", "digest"),
    [
        pytest.param({}, 14695981039346656037, id="no labels: the offset basis, above 2^63"),
        pytest.param(
            {"name": "garland, briggs", "fear": "love is not enough"},
            5799056148416392346,
            id="the vector of Prometheus' own tests",
        ),
    ],
)
def test_the_fingerprint_is_prometheus_own(labels: dict[str, str], digest: int) -> None:
    assert fingerprint(labels) == f"{digest:016x}"


def test_a_fingerprint_keeps_its_leading_zeros() -> None:
    digests = [fingerprint({"n": str(number)}) for number in range(400)]
    assert {len(digest) for digest in digests} == {16}
    assert any(digest.startswith("0") for digest in digests)


@given(st.dictionaries(st.text(alphabet=st.characters(codec="utf-8")), st.text(alphabet=st.characters(codec="utf-8"))))
def test_the_order_of_labels_does_not_change_the_fingerprint(labels: dict[str, str]) -> None:
    assert fingerprint(labels) == fingerprint(dict(reversed(labels.items())))


@given(st.binary())
def test_no_bytes_whatever_raise_anything_but_a_refusal(raw: bytes) -> None:
    with pytest.raises(BadInput):
        parse(raw, source="fuzz")


@given(JSON)
def test_no_json_whatever_costs_its_neighbour(document: Any) -> None:
    payload = read(document, GOOD)
    assert payload.alerts[-1].index == 1
    assert len(payload.alerts) + len(payload.rejected) == 2


def test_a_body_of_5000_alerts_is_read_in_far_less_than_a_second() -> None:
    entries = [{**GOOD, "labels": {**LABELS, "pod": f"app-{number}"}, "startsAt": ZERO} for number in range(5000)]
    raw = body(*entries)
    began = time.process_time()
    payload = parse(raw, source="x")
    assert len({entry.fingerprint for entry in payload.alerts}) == 5000
    assert time.process_time() - began < 1.0


def test_repeated_keys_in_large_objects_take_linear_time() -> None:
    pairs = ", ".join(f'"k{number}": 1' for number in range(200_000))
    began = time.process_time()
    assert "stands there twice" in refusal(f'{{{pairs}, "k199999": 1, "alerts": []}}'.encode())
    assert time.process_time() - began < 5.0


def test_more_alerts_than_are_taken_are_refused_before_any_is_read() -> None:
    body = b'{"alerts":[' + b",".join([b"{}"] * (MOST_ALERTS + 1)) + b"]}"
    with pytest.raises(BadPayload, match=f"{MOST_ALERTS + 1} alerts; at most {MOST_ALERTS}") as refused:
        parse(body, source="body")
    assert refused.value.path == "$.alerts"


@pytest.mark.parametrize("part", ["labels", "annotations"])
@pytest.mark.parametrize(
    "pair", [{"a": "x" * (LONGEST_TEXT + 1)}, {"x" * (LONGEST_TEXT + 1): "a"}], ids=["value", "name"]
)
def test_a_text_that_is_too_long_loses_its_alert_and_no_other(part: str, pair: dict[str, str]) -> None:
    long = {"status": "firing", "labels": {"alertname": "A"}, part: pair}
    body = json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "B"}}, long]}).encode()
    payload = parse(body, source="body")
    assert [alert.name for alert in payload.alerts] == ["B"]
    assert [(bad.index, f"at most {LONGEST_TEXT}" in bad.reason) for bad in payload.rejected] == [(1, True)]


def test_a_text_as_long_as_may_be_is_taken() -> None:
    body = json.dumps({"alerts": [{"labels": {"alertname": "x" * LONGEST_TEXT}}]}).encode()
    assert len(parse(body, source="body").alerts[0].name) == LONGEST_TEXT
