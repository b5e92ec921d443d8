"""The live cluster when the way to the API server is bad: one request per write, never twice, and the truth about it.

A proxy stands between agent and API server; what arrived is counted at the proxy and in the server's audit log.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sre_agent.cli.main import run
from sre_agent.cluster import live, readback
from sre_agent.cluster.live import LiveCluster, answers, open_cluster, wire
from sre_agent.cluster.port import (
    ClusterError,
    Refused,
    Resource,
    TooManyRequests,
    Unavailable,
    UnknownOutcome,
    Write,
)
from sre_agent.cluster.readback import Effect, look_up
from tests.cluster.contract import NAMESPACE, deletion, deployment, eviction, image_patch, namespaces, pod
from tests.control_plane.plane import ControlPlane
from tests.live import scene
from tests.live.fault_proxy import AGENT, Fault, FaultProxy, before

Figure = Callable[[str], None]


@pytest.fixture
def proxy(bare_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The way to the API server that a test spoils. KUBECONFIG leads through it."""
    with before(bare_plane, tmp_path / "proxy") as opened:
        monkeypatch.setenv("KUBECONFIG", str(opened.kubeconfig()))
        yield opened


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bounds, a tenth as long."""
    monkeypatch.setattr(wire, "CALL_SECONDS", 1.0)
    monkeypatch.setattr(live, "READ_SECONDS", 1.4)
    monkeypatch.setattr(live, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(live, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(answers, "DEFAULT_RETRY_SECONDS", 0.3)
    monkeypatch.setattr(readback, "PAUSE_SECONDS", 0.05)


@asynccontextmanager
async def opened() -> AsyncIterator[LiveCluster]:
    async with open_cluster() as cluster:
        yield cluster


def only(fault: Fault | None, method: str, times: int | None = None) -> Callable[[str, str, bool], Fault | None]:
    """The fault for requests of this method, the first `times` of them or all."""
    left = [times]

    def choose(asked: str, path: str, dry: bool) -> Fault | None:
        if asked != method or left[0] == 0:
            return None
        left[0] = None if left[0] is None else left[0] - 1
        return fault

    return choose


FAULTS = tuple(fault for fault in Fault if fault is not Fault.EXPIRED)  # that one belongs to lists
UNKNOWN = (
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.HANG_BEFORE,
    Fault.HANG_AFTER,
    Fault.HALF,
    Fault.HALF_UNNOTICED,
    Fault.FAILING,
    Fault.AWAY,
    Fault.LATE,
    Fault.PAGE,
    Fault.PAGE_502,
)
ERROR_OF_WRITE: dict[Fault, type[ClusterError]] = {
    **dict.fromkeys(UNKNOWN, UnknownOutcome),
    Fault.BUSY: TooManyRequests,
    Fault.BUSY_FOR_A_SECOND: TooManyRequests,
    Fault.ELSEWHERE: Unavailable,
    Fault.PAGE_404: Refused,
}
SENTENCE = re.compile(r"^(reading|listing|patching|deleting|evicting|creating) \S.{15,}", re.DOTALL)
READS: dict[str, Callable[[LiveCluster], Awaitable[Any]]] = {
    "get": lambda cluster: cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web"),
    "list": lambda cluster: cluster.list(Resource.PODS, NAMESPACE),
}


@pytest.mark.parametrize("verb", READS)
async def test_a_read_is_tried_again_and_answers_when_the_fault_passes(
    proxy: FaultProxy, impatient: None, figure: Figure, verb: str
) -> None:
    proxy.plane.api.create_all([*namespaces(), deployment(), pod("web-1")])
    tried = {}
    async with opened() as cluster:
        whole = await READS[verb](cluster)
        for fault in FAULTS:
            if fault in {Fault.HANG_BEFORE, Fault.HANG_AFTER}:
                continue  # the first silence takes most of the time that there is
            proxy.seen.clear()
            proxy.choose = only(fault, "GET", times=1)
            assert await READS[verb](cluster) == whole, fault.said
            tried[fault.said] = len(proxy.seen)
    assert set(tried.values()) == {2}
    figure(f"{len(tried)} faults, each answered at the second try")


@pytest.mark.parametrize("verb", READS)
async def test_a_read_that_keeps_failing_ends_within_its_bounds(
    proxy: FaultProxy, impatient: None, figure: Figure, verb: str
) -> None:
    proxy.plane.api.create_all([*namespaces(), deployment(), pod("web-1")])
    tries, longest = {}, 0.0
    async with opened() as cluster:
        for fault in FAULTS:
            proxy.seen.clear()
            proxy.choose = only(fault, "GET")
            began = time.monotonic()
            with pytest.raises((Unavailable, TooManyRequests), match=SENTENCE):
                await READS[verb](cluster)
            longest = max(longest, time.monotonic() - began)
            tries[fault.said] = len(proxy.seen)
    assert max(tries.values()) <= live.READ_TRIES
    figure(f"{tries}; longest {longest:.2f} s of {live.READ_SECONDS} s")


def prepare(proxy: FaultProxy, verb: str, number: int) -> Callable[[dict[str, Any]], Write | dict[str, Any]]:
    """What is written for one fault, from the object as it is before."""
    if verb == "patch":
        return lambda web: image_patch(
            f"registry.example/web:{number + 2}",
            uid=web["metadata"]["uid"],
            resource_version=web["metadata"]["resourceVersion"],
        )
    if verb == "create event":
        about = {"kind": "Pod", "namespace": NAMESPACE, "name": "web-1"}
        metadata = {"generateName": f"fault-{number}.", "namespace": NAMESPACE}
        return lambda _: {"metadata": metadata, "involvedObject": about, "reason": "Test", "message": "hello"}
    made = proxy.plane.api.create(pod(f"gone-{number}"))
    write = deletion if verb == "delete" else eviction
    return lambda _: write(f"gone-{number}", uid=made["metadata"]["uid"])


METHODS = {"patch": "PATCH", "delete": "DELETE", "evict": "POST", "create event": "POST"}


@pytest.mark.parametrize("verb", METHODS)
async def test_a_write_is_sent_once_and_what_became_of_it_is_found_out(
    proxy: FaultProxy, impatient: None, figure: Figure, verb: str
) -> None:
    api = proxy.plane.api
    api.create_all([*namespaces(), deployment(), pod("web-1")])
    wrong, counts, longest = [], {}, 0.0
    async with opened() as cluster:
        for number, fault in enumerate(FAULTS):
            made = prepare(proxy, verb, number)(api.get("apps/v1", "Deployment", NAMESPACE, "web"))
            proxy.seen.clear()
            proxy.choose = only(fault, METHODS[verb])
            mark, began = proxy.plane.audit_mark(), time.monotonic()
            with pytest.raises(ClusterError, match=SENTENCE) as raised:
                await (cluster.write(made) if isinstance(made, Write) else cluster.emit_event(made))
            longest = max(longest, time.monotonic() - began)
            proxy.choose = only(None, "")
            arrived = [request.code for request in proxy.plane.audit(AGENT, since=mark, writes=True)]
            counts[fault.said] = (len(proxy.writes()), len(arrived))
            if raised.type is not ERROR_OF_WRITE[fault]:
                wrong.append(f"{fault.said}: {raised.type.__name__}: {raised.value}")
            if counts[fault.said] != (1, int(fault.arrives)) or any(code >= 300 for code in arrived):
                wrong.append(f"{fault.said}: seen and passed on {counts[fault.said]}, answered {arrived}")
            if isinstance(made, Write) and raised.type is UnknownOutcome:
                effect = await look_up(cluster, made)
                if effect is not (Effect.TOOK if fault.arrives else Effect.UNSEEN):
                    wrong.append(f"{fault.said}: it {effect}")
    assert wrong == []
    assert longest < 1.5 * wire.CALL_SECONDS + 1
    figure(
        f"wire 1, audit 1 or 0 as passed on, for {len(counts)} faults; longest {longest:.2f} s of {wire.CALL_SECONDS} s"
    )


async def test_a_dry_run_that_fails_changed_nothing_and_says_so(proxy: FaultProxy, impatient: None) -> None:
    api = proxy.plane.api
    api.create_all([*namespaces(), deployment(), pod("web-1")])
    async with opened() as cluster:
        for fault in UNKNOWN:
            for write, method in ((image_patch("registry.example/web:2"), "PATCH"), (deletion("web-1"), "DELETE")):
                proxy.seen.clear()
                proxy.choose = only(fault, method)
                with pytest.raises(Unavailable, match="as a dry run"):
                    await cluster.write(write, dry_run=True)
                assert (len(proxy.writes(dry=True)), len(proxy.writes())) == (1, 0), fault.said
    assert "deletionTimestamp" not in api.get("v1", "Pod", NAMESPACE, "web-1")["metadata"]


async def test_a_lost_write_that_cannot_arrive_any_more_is_told_apart(proxy: FaultProxy, impatient: None) -> None:
    api = proxy.plane.api
    api.create_all([*namespaces(), deployment()])
    before = api.get("apps/v1", "Deployment", NAMESPACE, "web")["metadata"]
    write = image_patch("registry.example/web:2", uid=before["uid"], resource_version=before["resourceVersion"])
    async with opened() as cluster:
        proxy.choose = only(Fault.HANG_BEFORE, "PATCH")
        with pytest.raises(UnknownOutcome):
            await cluster.write(write)
        assert await look_up(cluster, write) is Effect.UNSEEN
        api.patch(deployment(), {"metadata": {"annotations": {"rival": "1"}}})
        assert await look_up(cluster, write) is Effect.NEVER


async def test_every_call_ends_within_fifteen_seconds_of_silence(proxy: FaultProxy, figure: Figure) -> None:
    """With the real bounds, all verbs at once."""
    api = proxy.plane.api
    api.create_all([*namespaces(), deployment(), pod("web-1"), pod("web-2")])
    event = {"metadata": {"generateName": "x.", "namespace": NAMESPACE}, "involvedObject": {}, "reason": "Test"}
    took: dict[str, float] = {}

    async def timed(verb: str, call: Awaitable[Any]) -> None:
        began = time.monotonic()
        with pytest.raises((Unavailable, UnknownOutcome), match="no answer within"):
            await call
        took[verb] = time.monotonic() - began

    async with opened() as cluster:
        proxy.seen.clear()
        proxy.choose = lambda method, path, dry: Fault.HANG_BEFORE
        calls = {
            "get": READS["get"](cluster),
            "list": READS["list"](cluster),
            "patch": cluster.write(image_patch("registry.example/web:2")),
            "delete": cluster.write(deletion("web-1")),
            "evict": cluster.write(eviction("web-2")),
            "create event": cluster.emit_event(event),
        }
        await asyncio.gather(*(timed(verb, call) for verb, call in calls.items()))
    assert max(took.values()) < 15
    assert len(proxy.writes()) == 4
    figure(", ".join(f"{verb} {seconds:.1f} s" for verb, seconds in took.items()))


RUNS = [
    *(pytest.param(fault, "succeeded", 0, id=fault.said) for fault in UNKNOWN if fault.arrives),
    *(pytest.param(fault, "escalated", 0, id=fault.said) for fault in UNKNOWN if not fault.arrives),
    pytest.param(Fault.BUSY, "failed", 1, id=Fault.BUSY.said),
    pytest.param(Fault.ELSEWHERE, "failed", 3, id=Fault.ELSEWHERE.said),
    pytest.param(Fault.PAGE_404, "failed", 1, id=Fault.PAGE_404.said),
]


@pytest.fixture
def acting(database: str, impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings under which the agent acts at once on what was written a moment ago."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("SRE_AGENT_COOLDOWN", "0")
    monkeypatch.setenv("SRE_AGENT_SETTLE", "0")
    monkeypatch.setenv("SRE_AGENT_ACTION_WINDOW", "0")


def replay(payload: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit code and the one run of `replay --live --mode auto`."""
    capsys.readouterr()
    code = run(["replay", str(payload), "--live", "--mode", "auto", "--yes", "--json"])
    (record,) = json.loads(capsys.readouterr().out)["runs"]
    return code, record


def events_of(incident: int, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert run(["show", str(incident), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["events"]
    return found


@pytest.mark.parametrize(("fault", "status", "code"), RUNS)
def test_a_run_ends_as_what_became_of_its_write(
    proxy: FaultProxy,
    acting: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Fault,
    status: str,
    code: int,
) -> None:
    scene.write_scene(proxy.plane.api)
    proxy.choose = lambda method, path, dry: fault if method == "PATCH" and not dry else None
    exit_code, record = replay(scene.write_alert(tmp_path), capsys)
    assert (record["status"], exit_code) == (status, code), record
    assert [seen.method for seen in proxy.writes() if "/events" not in seen.path] == ["PATCH"]
    arrived = scene.limit_of(proxy.plane.api.get("apps/v1", "Deployment", scene.NAMESPACE, "checkout"))
    assert arrived == (scene.NEW if fault.arrives else scene.OLD)
    assert (record["action_taken"] is not None) is fault.arrives
    assert len(record["writes"]) == int(fault.arrives)
    outcomes = [
        event["payload"]["outcome"]
        for event in events_of(record["incident_id"], capsys)
        if event["event_type"] == "outcome"
    ]
    assert outcomes == [{"succeeded": "done", "escalated": "unknown", "failed": "failed"}[status]]
    if not fault.arrives:
        assert "patching Deployment shop/checkout" in record["action_error"]


def test_a_write_whose_answer_was_lost_and_that_others_took_back_is_not_denied(
    proxy: FaultProxy, acting: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reverting controller is faster than the look: the write was carried out, so it has to count."""
    api = proxy.plane.api
    scene.write_scene(api)
    written: list[str] = []

    def choose(method: str, path: str, dry: bool) -> Fault | None:
        if method == "PATCH" and not dry:
            written.append(path)
            return Fault.RESET_AFTER
        if method == "GET" and written and "/deployments/" in path:
            api.patch(scene.DEPLOYMENT, scene.limit_patch(scene.OLD), kind="application/strategic-merge-patch+json")
        return None

    proxy.choose = choose
    exit_code, record = replay(scene.write_alert(tmp_path), capsys)
    assert (record["status"], exit_code, record["action_taken"], len(written)) == ("escalated", 0, None, 1)
    assert "others changed the object since: they were first, or took it back" in record["action_error"]


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.FAILING, Fault.HANG_AFTER])
def test_a_run_whose_dry_run_fails_writes_nothing(
    proxy: FaultProxy, acting: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    scene.write_scene(proxy.plane.api)
    proxy.choose = only(fault, "PATCH")
    exit_code, record = replay(scene.write_alert(tmp_path), capsys)
    assert (record["status"], exit_code, record["writes"]) == ("failed", 3, [])
    assert proxy.writes() == []
    assert "as a dry run" in record["action_error"]


def test_an_event_that_cannot_be_told_to_the_cluster_spoils_nothing(
    proxy: FaultProxy, acting: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.write_scene(proxy.plane.api)
    proxy.choose = only(Fault.AWAY, "POST")
    exit_code, record = replay(scene.write_alert(tmp_path), capsys)
    assert (record["status"], exit_code, len(record["writes"])) == ("succeeded", 0, 1)
    assert [seen.method for seen in proxy.writes()] == ["PATCH", "POST"]


def test_a_fifth_of_all_requests_going_wrong_never_writes_twice(
    proxy: FaultProxy, acting: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], figure: Figure
) -> None:
    """Faults drawn at random: every run ends, and every limit was set once or never."""
    api, chance = proxy.plane.api, random.Random(7)
    scene.write_scene(api)
    quick = [fault for fault in FAULTS if fault not in {Fault.HANG_BEFORE, Fault.HANG_AFTER}]
    ends: dict[str, int] = {}
    rounds, requests, writes = 15, 0, 0
    for _ in range(rounds):
        api.patch(scene.DEPLOYMENT, scene.limit_patch(scene.OLD), kind="application/strategic-merge-patch+json")
        scene.kill_again(api)
        payload = scene.write_alert(tmp_path)
        proxy.choose = lambda method, path, dry: (
            chance.choice(quick) if path.partition("?")[0] != "/api/v1" and chance.random() < 0.2 else None
        )
        proxy.seen.clear()
        mark = proxy.plane.audit_mark()
        _, record = replay(payload, capsys)
        ends[record["status"]] = ends.get(record["status"], 0) + 1
        patched = [seen for seen in proxy.writes() if seen.method == "PATCH"]
        written = [
            request
            for request in proxy.plane.audit(AGENT, since=mark, writes=True)
            if request.verb == "patch" and not request.dry_run
        ]
        assert len(patched) <= 1
        writes += len(written)
        assert len(written) == sum(seen.fault is None or seen.fault.arrives for seen in patched)
        requests += len(proxy.seen)
        assert run(["resolve", str(record["incident_id"])]) == 0
    assert set(ends) <= {"succeeded", "escalated", "failed"}
    assert writes
    figure(f"{rounds} runs ended {ends}; {requests} requests, {writes} writes, none of them twice")
