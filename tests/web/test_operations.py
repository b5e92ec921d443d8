"""Health, metrics, and connections that do not speak HTTP."""

import asyncio
import json
import socket
from collections.abc import Iterator

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sre_agent import metrics
from sre_agent.agent import load_runbooks
from sre_agent.run import Judgement, Mode, RunRecord, RunStatus, StepRecord, StepStatus, Verdict
from sre_agent.settings import load
from sre_agent.web import exposition
from sre_agent.web.counting import count_run
from sre_agent.web.health import FRESH_SECONDS, Health
from tests.replay.test_intake import alert as an_alert
from tests.store.store_builders import new_incident, receive, replayed, started
from tests.web.servers import Served, alert, payload


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
async def test_a_server_that_works_is_alive_and_ready(server: Served, path: str) -> None:
    answer = await server.get(path)
    assert (answer.status, answer.body) == (200, {"status": "ok"})
    async with server.client.head(path) as response:
        assert response.status == 200


async def test_an_old_schema_is_not_ready(server: Served, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from schema_migrations where name = '0011_evictions'")
    answer = await server.get("/healthz")
    assert (answer.status, "sre-agent db migrate" in answer.error["message"]) == (503, True)
    assert (await server.get("/livez")).status == 200


async def test_many_who_ask_are_one_question_to_the_database(server: Served, database: str) -> None:
    now = 0.0
    health = Health(server.store, clock=lambda: now)
    assert await health.fault() is None
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from schema_migrations where name = '0011_evictions'")
    assert await health.fault() is None
    now = FRESH_SECONDS
    assert "not current" in str(await health.fault())


def samples(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_metrics_are_what_prometheus_reads(server: Served) -> None:
    await server.deliver(payload(alert(), alert(pod="app-2")))
    answer = await server.get("/metrics")
    assert answer.headers["Content-Type"] == exposition.CONTENT_TYPE
    found = samples(answer.body)
    assert found["sre_agent_database_up"] == 1
    assert found["sre_agent_runbooks_refused"] == 0
    assert found["sre_agent_runs_queued"] == 2
    assert found["sre_agent_runs_running"] == 0
    assert 0 <= found["sre_agent_oldest_queued_run_seconds"] < 60
    assert found["sre_agent_last_alert_received_timestamp_seconds"] > 1.7e9
    assert found["sre_agent_http_requests_total,method=POST,path=/alertmanager,status=200"] >= 1
    assert found["sre_agent_http_request_seconds_count,path=/alertmanager"] >= 1


async def test_what_a_replay_runs_is_no_work_that_waits_for_a_worker(server: Served) -> None:
    await started(server.store, replayed("one"))
    await receive(server.store, replayed("two", dedup_key="another"))
    found = samples((await server.get("/metrics")).body)
    assert (found["sre_agent_runs_queued"], found["sre_agent_runs_running"]) == (0, 0)
    assert (found["sre_agent_oldest_queued_run_seconds"], found["sre_agent_oldest_running_run_seconds"]) == (0, 0)
    await started(server.store)
    await receive(server.store, new_incident(dedup_key="a third"))
    found = samples((await server.get("/metrics")).body)
    assert (found["sre_agent_runs_queued"], found["sre_agent_runs_running"]) == (1, 1)


async def test_each_request_is_counted_by_its_path_and_never_by_what_a_stranger_typed(server: Served) -> None:
    for path in ("/api/incidents/1", "/api/incidents/2", "/wp-login.php"):
        await server.get(path)
    async with server.client.request("PROPFIND", "/livez"):
        pass
    found = samples((await server.get("/metrics")).body)
    assert found["sre_agent_http_requests_total,method=GET,path=/api/incidents/{id},status=404"] >= 2
    assert found["sre_agent_http_requests_total,method=GET,path=other,status=404"] >= 1
    assert found["sre_agent_http_requests_total,method=other,path=other,status=405"] >= 1
    assert not any("wp-login" in name or "PROPFIND" in name for name in found)


def test_without_a_store_the_counters_are_still_told() -> None:
    found = samples(exposition.text(None, runbooks_refused=True).decode())
    assert found["sre_agent_database_up"] == 0
    assert found["sre_agent_runbooks_refused"] == 1
    assert "sre_agent_alerts_rejected_total" in found
    assert "sre_agent_runs_queued" not in found


@pytest.fixture
def fresh_counts() -> Iterator[None]:
    kept = [(of, dict(of.counts)) for of in (metrics.RUNS, metrics.STEPS, metrics.VERDICTS)]
    for of, _ in kept:
        of.counts.clear()
    yield
    for of, counts in kept:
        of.counts.clear()
        of.counts.update(counts)


def test_a_run_that_ended_is_counted_with_its_steps_and_verdicts(fresh_counts: None) -> None:
    no = Judgement(rule="mode", verdict=Verdict.ASK, reason="", allowed_by="")
    steps = (
        StepRecord(step="look", tool="get_pod_events", status=StepStatus.DONE),
        StepRecord(step="act", tool="patch_memory", status=StepStatus.PROPOSED, judgements=(no, no)),
    )
    run = RunRecord(
        incident_id=1,
        run_id=None,
        alert=an_alert(),
        target=None,
        runbook_id=load_runbooks(load({"HOME": "/"}))["RB_OOM"].id,
        route_reason="",
        mode=Mode.RECOMMEND,
        status=RunStatus.SUCCEEDED,
        steps=steps,
    )
    count_run(run)
    found = samples(exposition.text(None, runbooks_refused=True).decode())
    assert found["sre_agent_runs_total,result=succeeded,runbook=RB_OOM"] == 1
    assert found["sre_agent_steps_total,result=proposed,tool=patch_memory"] == 1
    assert found["sre_agent_verdicts_total,rule=mode,verdict=ask"] == 2


def test_a_timing_falls_into_its_bucket() -> None:
    timing = metrics.Timing(name="t", meaning="")
    for seconds in (0.005, 0.0051, 61.0):
        timing.observe(seconds)
    (spread,) = timing.spreads.values()
    assert (spread.buckets[0], spread.buckets[1], spread.buckets[-1], sum(spread.buckets)) == (1, 1, 1, 3)
    assert spread.total == pytest.approx(61.0101)


async def raw(server: Served, sent: bytes) -> tuple[int, bytes, bytes]:
    """The status, head and body of whatever is answered to bytes."""

    def exchange() -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(sent)
            return connection.makefile("rb").read()

    head, _, body = (await asyncio.to_thread(exchange)).partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, id="TLS where there is none"),
        pytest.param(b"GET /livez HTTP/1.1\r\nno header\r\n\r\n", 400, id="a line that is no header"),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, id="a length below none"),
        pytest.param(b"GET /livez HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431, id="a header too long"),
        pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 431, id="a path too long"),
        pytest.param(b"GET /livez HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431, id="too many headers"),
    ],
)
async def test_what_is_no_request_is_answered_in_the_one_shape(server: Served, sent: bytes, status: int) -> None:
    answered, head, body = await raw(server, sent)
    assert answered == status
    assert json.loads(body)["error"]["code"] in {"bad_request", "headers_too_large"}
    assert b"aaaa" not in body
    assert b"aiohttp" not in head


async def test_a_chunk_that_is_none_is_a_bad_request(server: Served) -> None:
    head = b"POST /alertmanager HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answered, _, _ = await raw(server, head + b"zz\r\n")
    assert answered == 400
