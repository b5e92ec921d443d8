"""Secrets that stand in a cluster and in its alerts reach no model, no log, no row and no page."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from sre_agent.cluster.recording import Recording
from sre_agent.log import configure
from sre_agent.objects import Object
from sre_agent.store import Store
from tests.llm.guided_runs import Case, case_of, run_guided, settings_of
from tests.model_server import behaving, model_server
from tests.store.test_secrets import everything
from tests.web.servers import served

KINDS: dict[str, str] = {
    "AWS key": "AKIA%U",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJ%s.%s",
    "bearer header": "Authorization: Bearer %s",
    "basic header": "Authorization: Basic %s==",
    "unknown scheme": "Proxy-Authorization: %s",
    "cookie": "Set-Cookie: session=%s",
    "API header": "X-Api-Key: %s",
    "URL of a database": "postgresql://app:%s@db:5432/orders",
    "URL of a site": "https://robot:%s@git.example.com/x.git",
    "URL without user": "redis://:%s@cache:6379",
    "query": "https://x.example/cb?access_token=%s&a=b",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----",
    "GitHub token": "ghp_%s%s",
    "Slack token": "xoxb-%s",
    "OpenAI key": "sk-proj-%s",
    "Google key": "AIza%s%sQ",
    "Vault token": "hvs.%s%s",
    "assignment": "DB_PASSWORD=%s",
    "JSON": '{"client_secret": "%s"}',
    "flag": "mysql --password %s -h db",
}
PLACES = (
    *("environment", "Secret data", "arguments", "object labels", "object annotations"),
    *("event messages", "logs", "node conditions", "alert labels", "alert annotations"),
)
SEEN_BY_THE_MODEL = {"event messages", "logs", "node conditions", "alert labels", "alert annotations"}
"""Where a prompt takes words from; nothing else of an object is ever told to a model."""


@dataclass(frozen=True, kw_only=True)
class Canary:
    """`text` is the secret as it stands there, behind a word that is none; `core` is what must be nowhere."""

    kind: str
    place: str
    mark: str
    core: str

    @property
    def text(self) -> str:
        return f"{self.mark} {KINDS[self.kind].replace('%s', self.core).replace('%U', self.core)}"


def canaries() -> list[Canary]:
    made = []
    for number, (kind, place) in enumerate((kind, place) for kind in KINDS for place in PLACES):
        core = f"CNRY{number:03}ZQ7W3XK9V" if "%U" in KINDS[kind] else f"cnry{number:03}Zq7w3Xk9vB"
        made.append(Canary(kind=kind, place=place, mark=f"mark{number:03}", core=core))
    return made


CANARIES = canaries()


def with_canaries(case: Case, by_place: dict[str, Canary]) -> Case:
    """The case with the canary of each place; what is a whole value by itself (of a variable, a Secret) is the core."""
    text = {place: canary.text for place, canary in by_place.items()}
    objects: list[Object] = json.loads(json.dumps(list(case.recording.objects)))
    for obj in objects:
        metadata = obj["metadata"]
        metadata["annotations"] = {"note": text["object annotations"]} | (metadata.get("annotations") or {})
        metadata["labels"] = {"note": text["object labels"]} | (metadata.get("labels") or {})
        if obj["kind"] == "Event":
            obj["message"] = f"{text['event messages']} {obj.get('message', '')}"
        if obj["kind"] == "Node":
            for condition in obj["status"].get("conditions", []):
                condition["message"] = text["node conditions"]
        for container in containers_of(obj):
            container["env"] = [{"name": "GREETING", "value": by_place["environment"].core}]
            container["args"] = ["serve", text["arguments"]]
    objects.append(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "keys", "namespace": "payments"},
            "data": {"a": by_place["Secret data"].core},
        }
    )
    alert = replace(
        case.alert,
        labels={"note": text["alert labels"]} | case.alert.labels,
        annotations={"note": text["alert annotations"]} | dict(case.alert.annotations),
        generator_url=f"https://prometheus/graph?token={by_place['alert labels'].core}",
    )
    recording = replace(case.recording, objects=tuple(objects), logs=logs_of(case.recording, f"{text['logs']}\n"))
    return replace(case, alert=alert, recording=recording)


def containers_of(obj: Object) -> list[Object]:
    spec = obj.get("spec") or {}
    pod_spec = spec if obj["kind"] == "Pod" else (spec.get("template") or {}).get("spec") or {}
    found: list[Object] = pod_spec.get("containers") or []
    return found


def logs_of(recording: Recording, line: str) -> dict[tuple[str, str, str, bool], str]:
    return {
        (pod["metadata"]["namespace"], pod["metadata"]["name"], container["name"], previous): line
        for pod in recording.objects
        if pod["kind"] == "Pod"
        for container in containers_of(pod)
        for previous in (False, True)
    }


@pytest.fixture
def log_stream() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("sre_agent")
    before, levels, stream = root.handlers[:], (root.level, ours.level), io.StringIO()
    configure("DEBUG", json_lines=True, stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


async def test_no_canary_reaches_a_model_a_log_a_row_or_a_page(
    store: Store, database: str, log_stream: io.StringIO, figure: Callable[[str], None]
) -> None:
    pages = []
    async with model_server(behaving) as server:
        settings = settings_of({**server.environment, "OPENAI_API_KEY": "sk-proj-cnryZq7w3Xk9vB0123"})
        for kind in KINDS:
            by_place = {canary.place: canary for canary in CANARIES if canary.kind == kind}
            for example in ("crash-bad-release", "node-cordoned"):
                record = await run_guided(store, with_canaries(case_of(example), by_place), settings)
                pages.append(record.incident_id)
    async with served(database, {}) as site:
        shown = "\n".join([json.dumps((await site.get(f"/api/incidents/{number}")).body) for number in pages])
    kept, told, sent = everything(database), log_stream.getvalue(), "\n".join(server.texts)
    assert len(CANARIES) == 200
    assert "run.finished" in told
    assert '"llm_trace"' in shown
    assert "llm_trace" in kept
    for where in (sent, told, kept, shown):
        assert [(canary.kind, canary.place) for canary in CANARIES if canary.core.lower() in where.lower()] == []
        assert "sk-proj-cnry" not in where
    reached = {canary.place for canary in CANARIES if canary.mark in sent}
    assert reached == SEEN_BY_THE_MODEL
    marks = [canary for canary in CANARIES if canary.place in SEEN_BY_THE_MODEL and canary.mark in sent]
    assert len(marks) == len(KINDS) * len(SEEN_BY_THE_MODEL)
    figure(
        f"200 secrets in {len(PLACES)} places: 0 in {len(server.texts)} requests to the model, in "
        f"{len(told.splitlines())} lines of log, in all tables, in {len(pages)} answers of the API; "
        f"the words beside {len(marks)} of them did reach the model"
    )
