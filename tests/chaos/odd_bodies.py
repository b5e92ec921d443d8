"""Webhook bodies as nobody should send them: payloads with something wrong anywhere, other JSON, and no JSON at all."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from sre_agent.alert import LONGEST_TEXT

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "\u202e", "null", "'; drop table incidents; --", "{{", "%s", "x" * 3000, "é" * 900]),
)
NO_TEXTS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=()), min_size=1, max_size=6),  # half surrogate pairs among them
    st.sampled_from(["\x00", "\ud800", "a\x00b", "x" * LONGEST_TEXT, "x" * (LONGEST_TEXT + 1)]),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([2**63, -(2**63), 10**400, 1e308, -0.0]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, NO_TEXTS)
ANYTHING = st.recursive(
    SCALARS,
    lambda part: st.one_of(st.lists(part, max_size=3), st.dictionaries(st.one_of(TEXTS, NO_TEXTS), part, max_size=3)),
    max_leaves=8,
)

NAMES = st.one_of(
    TEXTS,
    st.sampled_from(
        ["alertname", "namespace", "pod", "container", "node", "deployment", "job_name", "cluster", "runbook_id"]
    ),
)
VALUES = st.one_of(TEXTS, st.sampled_from(["KubePodOOMKilled", "KubeNodeNotReady", "Watchdog", "shop", "RB_OOM"]))
MOMENTS = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from(
        [
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999+23:59",
            "0000-00-00T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-11-28T10:00:60Z",
            "2026-11-28T10:00:00.1234567890123Z",
            "-4712-01-01T00:00:00Z",
            "294277-01-01T00:00:00Z",
            "yesterday",
        ]
    ),
)


PODS = st.integers(0, 10**6).map("app-{}".format)
LABELS = st.one_of(
    st.fixed_dictionaries({"alertname": VALUES, "namespace": VALUES, "pod": PODS}),
    st.fixed_dictionaries({"alertname": VALUES, "node": PODS}, optional={"cluster": VALUES}),
    st.dictionaries(NAMES, VALUES, max_size=6),
)


def _payloads(or_anything: Callable[[st.SearchStrategy[Any]], st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Payloads whose parts are as they usually are, `or_anything`."""
    told = st.fixed_dictionaries(
        {"labels": or_anything(LABELS)},
        optional={
            "status": or_anything(st.sampled_from(["firing", "firing", "resolved"])),
            "annotations": or_anything(st.dictionaries(TEXTS, VALUES, max_size=3)),
            "startsAt": or_anything(MOMENTS),
            "endsAt": or_anything(MOMENTS),
            "generatorURL": or_anything(TEXTS),
            "fingerprint": or_anything(TEXTS),
        },
    )
    return st.fixed_dictionaries(
        {"alerts": or_anything(st.lists(or_anything(told), max_size=4))},
        optional={
            "version": or_anything(st.just("4")),
            "status": or_anything(st.sampled_from(["firing", "resolved"])),
            "receiver": or_anything(TEXTS),
            "groupKey": or_anything(TEXTS),
            "truncatedAlerts": or_anything(st.integers()),
            "externalURL": or_anything(TEXTS),
            "unheard-of": ANYTHING,
        },
    )


USUAL = _payloads(lambda usual: usual)
ODD = _payloads(lambda usual: st.sampled_from([usual] * 9 + [ANYTHING]).flatmap(lambda chosen: chosen))


def _written(document: Any, *, as_it_is: bool) -> bytes:
    """JSON, with escapes or with every character as it is: then a lone surrogate is no UTF-8."""
    return json.dumps(document, ensure_ascii=not as_it_is).encode(errors="surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A payload that was cut off, in which a byte was changed, or which says a key twice."""
    whole = _written(draw(USUAL), as_it_is=draw(st.booleans()))
    place = draw(st.integers(0, len(whole) - 1))
    match draw(st.sampled_from(["cut", "changed", "inserted", "twice"])):
        case "cut":
            return whole[:place]
        case "changed":
            return whole[:place] + bytes([draw(st.integers(0, 255))]) + whole[place + 1 :]
        case "inserted":
            return whole[:place] + draw(st.binary(max_size=8)) + whole[place:]
        case _:
            key = draw(st.sampled_from([b'"alerts":', b'"labels":', b'"status":', b'"alertname":']))
            return whole.replace(key, key + b" null," + key, 1)


BODIES = st.one_of(
    st.builds(_written, USUAL, as_it_is=st.booleans()),
    st.builds(_written, ODD, as_it_is=st.booleans()),
    st.builds(_written, ODD, as_it_is=st.booleans()),
    _damaged(),
    st.builds(_written, ANYTHING, as_it_is=st.booleans()),
    st.binary(max_size=64),
    st.integers(1, 20_000).map(lambda depth: b'{"alerts":' * depth),
)
