"""Symptoms from status and events together: why an image is missing, whether memory was lacking, what crashes."""

import json
import os
from pathlib import Path

import pytest
import yaml

from sre_agent.diagnosis import (
    ImageCause,
    cause_in,
    container_of_event,
    crashes,
    image_pulls,
    oom_event_notes,
    oom_kills,
    oom_spoken_of,
    sandbox_failed,
    symptomatic_containers,
)
from tests.unit.workload_objects import IMAGE, NOT_FOUND, container, ended, event, oom, pod, running, waiting

C = ImageCause
PULLING = f'Failed to pull image "{IMAGE}": '


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        pytest.param(NOT_FOUND, C.NOT_FOUND, id="containerd, in the waiting message"),
        pytest.param(f"{PULLING}rpc error: code = NotFound desc = gone", C.NOT_FOUND, id="gRPC code NotFound"),
        pytest.param(f"{PULLING}manifest for {IMAGE} not found: manifest unknown", C.NOT_FOUND, id="Docker"),
        pytest.param(f"{PULLING}NAME_UNKNOWN: repository name not known to registry", C.NOT_FOUND, id="no repository"),
        pytest.param(f"{PULLING}no match for platform in manifest: not found", C.NO_PLATFORM, id="no platform"),
        pytest.param(
            f"{PULLING}no matching manifest for linux/arm64/v8 in the manifest list entries", C.NO_PLATFORM, id="arm64"
        ),
        pytest.param(
            f"{PULLING}pull access denied, repository does not exist or may require authorization: "
            "server message: insufficient_scope: authorization failed",
            C.UNAUTHORIZED,
            id="secret or absent: only a person can tell",
        ),
        pytest.param(f"{PULLING}unexpected status: 401 Unauthorized", C.UNAUTHORIZED, id="401"),
        pytest.param(f"{PULLING}unexpected status code [manifests 1]: 403", C.UNAUTHORIZED, id="403"),
        pytest.param(f"{PULLING}no basic auth credentials", C.UNAUTHORIZED, id="no credentials"),
        pytest.param(f"{PULLING}toomanyrequests: You have reached your pull rate limit", C.REGISTRY_ERROR, id="rate"),
        pytest.param(f"{PULLING}dial tcp: lookup r.example: no such host", C.REGISTRY_ERROR, id="DNS"),
        pytest.param(f"{PULLING}dial tcp 10.0.0.1:443: i/o timeout", C.REGISTRY_ERROR, id="timeout"),
        pytest.param(f"{PULLING}connect: connection refused", C.REGISTRY_ERROR, id="refused"),
        pytest.param(f"{PULLING}x509: certificate signed by unknown authority", C.REGISTRY_ERROR, id="x509"),
        pytest.param(
            f"{PULLING}unexpected status from HEAD request to https://r.example/v2/app: 503 Service Unavailable",
            C.REGISTRY_ERROR,
            id="503",
        ),
        pytest.param(f"{PULLING}received unexpected HTTP status: 521", C.REGISTRY_ERROR, id="any 5xx"),
        pytest.param(
            f'Failed to apply default image tag "{IMAGE}": couldn\'t parse image name', C.INVALID_NAME, id="no name"
        ),
        pytest.param(f"{PULLING}invalid reference format", C.INVALID_NAME, id="no reference"),
        pytest.param(
            f"{PULLING}rpc error: code = NotFound desc = failed to pull and unpack image: failed to extract layer "
            "sha256:1f: failed to get reader from content store: content digest sha256:1f: not found",
            C.UNKNOWN,
            id="a layer that the runtime lost",
        ),
        pytest.param(f"{PULLING}failed to extract layer sha256:1f: not found", C.UNKNOWN, id="extract"),
        pytest.param(f"{PULLING}failed to copy: httpReadSeeker: failed open: not found", C.UNKNOWN, id="copy"),
        pytest.param(f"{PULLING}failed to prepare extraction: not found", C.UNKNOWN, id="prepare"),
        pytest.param(f"{PULLING}content digest sha256:1f: not found", C.UNKNOWN, id="content digest"),
        pytest.param(f"{PULLING}ingest in content store: not found", C.UNKNOWN, id="content store"),
        pytest.param(f"{PULLING}parent snapshot sha256:1f does not exist: not found", C.UNKNOWN, id="snapshot"),
        pytest.param(
            f"{PULLING}failed to resolve reference: failed to authorize: failed to fetch anonymous token: unexpected "
            "status from GET request to https://auth.example/token?service=r.example: 404 Not Found",
            C.REGISTRY_ERROR,
            id="the auth service is not found",
        ),
        pytest.param(f"{PULLING}failed to fetch oauth token: not found", C.REGISTRY_ERROR, id="no token"),
        pytest.param(
            f"{PULLING}failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
            C.UNAUTHORIZED,
            id="the auth service refuses",
        ),
        pytest.param(
            f'{PULLING}image operating system "windows" cannot be used on this platform: not found',
            C.NO_PLATFORM,
            id="another operating system",
        ),
        pytest.param(f'Back-off pulling image "{IMAGE}"', None, id="back-off alone"),
        pytest.param("Error: ImagePullBackOff", None, id="the reason alone"),
        pytest.param("no space left on device", None, id="the node's disk"),
        pytest.param('Failed to pull image "other:1": manifest unknown', None, id="another image"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_words_of_kubelet_and_runtime_tell_the_cause(message, cause):
    assert cause_in(message, IMAGE) is cause


@pytest.mark.parametrize(
    ("image", "message", "cause"),
    [
        pytest.param(
            "denied-app:503",
            'Failed to pull image "denied-app:503": docker.io/library/denied-app:503: not found',
            C.NOT_FOUND,
            id="a name that sounds like an answer",
        ),
        pytest.param(
            "timeout:1", "manifest for timeout:1 not found: manifest unknown", C.NOT_FOUND, id="unquoted name with tag"
        ),
        pytest.param(
            "x509", "manifest for x509:latest not found", C.REGISTRY_ERROR, id="in doubt, what forbids a change"
        ),
        pytest.param("not-found:1", 'Back-off pulling image "not-found:1"', None, id="a name is no cause"),
    ],
)
def test_names_that_others_chose_are_not_read_as_an_answer(image, message, cause):
    assert cause_in(message, image) is cause


BACK_OFF = (waiting("ImagePullBackOff"),)


def pulls(*events, statuses=BACK_OFF, **fields):
    return image_pulls(pod(statuses=statuses, **fields), events)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("ErrImagePull", C.UNKNOWN),
        ("ImagePullBackOff", C.UNKNOWN),
        ("InvalidImageName", C.INVALID_NAME),
        ("RegistryUnavailable", C.REGISTRY_ERROR),
        ("ErrImageNeverPull", C.UNKNOWN),
        ("ImageInspectError", C.UNKNOWN),
        ("SignatureValidationFailed", C.UNKNOWN),
    ],
)
def test_each_waiting_reason_of_a_missing_image_is_seen(reason, cause):
    (pull,) = pulls(statuses=(waiting(reason),))
    assert (pull.container, pull.init, pull.image, pull.cause) == ("app", False, IMAGE, cause)
    assert pull.reasons == (f"container app waits: {reason}",)


def test_a_reason_that_is_the_whole_answer_is_not_overruled_by_its_message():
    (pull,) = pulls(statuses=(waiting("ErrImageNeverPull", "image not found"),))
    assert pull.cause is C.UNKNOWN


@pytest.mark.parametrize(
    ("events", "cause", "words"),
    [
        pytest.param([event("Failed", f"{PULLING}manifest unknown")], C.NOT_FOUND, "", id="the event tells"),
        pytest.param([event("Failed", f"{PULLING}manifest unknown", container=None)], C.NOT_FOUND, "", id="by image"),
        pytest.param([event("Failed", "manifest unknown")], C.UNKNOWN, "", id="without an image it does not count"),
        pytest.param(
            [event("Failed", f"{PULLING}manifest unknown", container="other")], C.UNKNOWN, "", id="other container"
        ),
        pytest.param(
            [event("Failed", 'Failed to pull image "old:1": manifest unknown')], C.UNKNOWN, "", id="an earlier image"
        ),
        pytest.param([event("Unhealthy", f"{PULLING}manifest unknown")], C.UNKNOWN, "", id="another reason"),
        pytest.param(
            [event("Failed", f"{PULLING}manifest unknown", age=9), event("Failed", f"{PULLING}i/o timeout", age=2)],
            C.REGISTRY_ERROR,
            "earlier events said not_found; the newest evidence says registry_error",
            id="the newest wins",
        ),
        pytest.param(
            [event("Failed", f"{PULLING}manifest unknown"), event("Failed", f"{PULLING}i/o timeout")],
            C.UNKNOWN,
            "events of one moment disagree on the cause: not_found, registry_error",
            id="two of one moment",
        ),
        pytest.param(
            [
                event("Failed", f"{PULLING}manifest unknown"),
                event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets", container=None),
            ],
            C.UNAUTHORIZED,
            "an image pull secret could not be read",
            id="a missing secret makes not found doubtful",
        ),
    ],
)
def test_events_tell_the_cause_where_the_status_does_not(events, cause, words):
    (pull,) = pulls(*events)
    assert pull.cause is cause
    assert words in "; ".join(pull.reasons)


def test_the_status_is_the_present_and_says_where_events_disagreed():
    (pull,) = pulls(
        event("Failed", f"{PULLING}i/o timeout", age=30), statuses=(waiting("ImagePullBackOff", NOT_FOUND),)
    )
    assert pull.cause is C.NOT_FOUND
    assert "earlier events said registry_error" in pull.reasons[-1]


LOST_LAYER = f"{PULLING}failed to extract layer sha256:1f: not found"


@pytest.mark.parametrize(
    ("statuses", "events"),
    [
        pytest.param(
            (waiting("ErrImagePull", LOST_LAYER),),
            [event("Failed", f"{PULLING}manifest unknown", age=30)],
            id="told by the status",
        ),
        pytest.param(
            BACK_OFF,
            [event("Failed", f"{PULLING}manifest unknown", age=30), event("Failed", LOST_LAYER, age=2)],
            id="told by the newest event",
        ),
    ],
)
def test_what_the_runtime_lost_is_not_taken_for_a_missing_tag_because_of_what_was_said_before(statuses, events):
    (pull,) = pulls(*events, statuses=statuses)
    assert pull.cause is C.UNKNOWN
    assert "earlier events said not_found" in pull.reasons[-1]


FAILED = event("Failed", f"{PULLING}manifest unknown", age=3)


@pytest.mark.parametrize(
    ("statuses", "events", "detected"),
    [
        pytest.param((waiting("ContainerCreating"),), [FAILED], True, id="the status does not say yet"),
        pytest.param((), [FAILED], True, id="no status yet"),
        pytest.param((waiting("ContainerCreating"),), [], False, id="nothing says so"),
        pytest.param(
            (waiting("ContainerCreating"),), [FAILED, event("Pulled", "ok", age=1)], False, id="pulled afterwards"
        ),
        pytest.param(
            (waiting("ContainerCreating"),), [FAILED, event("Pulled", "ok", age=9)], True, id="pulled only before"
        ),
        pytest.param((waiting("CrashLoopBackOff"),), [FAILED], False, id="it runs and crashes"),
        pytest.param((running(),), [FAILED], False, id="it runs"),
        pytest.param((oom(),), [FAILED], False, id="it was killed"),
    ],
)
def test_events_alone_count_only_while_the_status_does_not_say(statuses, events, detected):
    assert bool(pulls(*events, statuses=statuses)) is detected


def test_events_that_could_not_be_read_leave_the_cause_unknown():
    (pull,) = image_pulls(pod(statuses=(waiting("ImagePullBackOff"),)), None)
    assert pull.cause is C.UNKNOWN


def test_an_init_container_is_reported_as_one():
    init_event = event("Failed", f"{PULLING}manifest unknown")
    init_event["involvedObject"]["fieldPath"] = "spec.initContainers{setup}"
    (pull,) = pulls(
        init_event,
        statuses=(waiting("PodInitializing"),),
        init=(container("setup"),),
        init_statuses=(waiting("ImagePullBackOff", name="setup"),),
    )
    assert (pull.container, pull.init, pull.cause) == ("setup", True, C.NOT_FOUND)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("spec.containers{app}", "app"),
        ("spec.initContainers{setup}", "setup"),
        ("spec.containers", None),
        (None, None),
    ],
)
def test_the_field_path_of_an_event_names_its_container(path, expected):
    assert container_of_event({"involvedObject": {"fieldPath": path}}) == expected


@pytest.mark.parametrize(
    ("status", "killed"),
    [
        pytest.param(oom(), True, id="in the last state"),
        pytest.param({"name": "app", "state": ended()}, True, id="in the state"),
        pytest.param({"name": "app", "state": ended(code=0)}, True, id="with exit code 0"),
        pytest.param({"name": "app", "state": ended("Error")}, False, id="exit code 137 alone is no proof"),
        pytest.param(
            {"name": "app", "state": ended("Error", code=1), "lastState": ended()}, True, id="before another end"
        ),
        pytest.param(running(), False, id="running"),
        pytest.param(running(lastState=ended()), True, id="running again since"),
    ],
)
def test_a_kill_for_memory_counts_by_its_reason_in_state_or_last_state(status, killed):
    assert bool(oom_kills(pod(statuses=(status | {"ready": False},)))) is killed


def test_a_kill_says_which_container_when_and_with_what_code():
    (kill,) = oom_kills(pod(statuses=(running(),), init_statuses=(oom("setup", age=5),)))
    assert (kill.container, kill.init, kill.exit_code) == ("setup", True, 137)
    assert str(kill) == "init container setup was OOMKilled at 2026-05-01 11:55:00 UTC (exit code 137)"


def test_a_kill_without_a_time_is_still_a_kill():
    status = {"name": "app", "ready": False, "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    (kill,) = oom_kills(pod(statuses=(status,)))
    assert (kill.finished_at, str(kill)) == (None, "container app was OOMKilled (exit code 137)")


@pytest.mark.parametrize(
    ("told", "speaks"),
    [
        pytest.param(event("OOMKilling", "Memory cgroup out of memory: Killed process 1"), True, id="by reason"),
        pytest.param(event("Killing", "container was OOMKilled"), True, id="by message"),
        pytest.param(event("BackOff", "Back-off restarting failed container"), False, id="a restart"),
        pytest.param(event("Failed", "zoom-client not found"), False, id="another word"),
    ],
)
def test_events_speak_of_kills_by_reason_or_message(told, speaks):
    assert bool(oom_spoken_of([told])) is speaks


@pytest.mark.parametrize(
    ("statuses", "events", "words"),
    [
        pytest.param((running(),), [event("OOMKilling", "x", container=None)], "no status says OOMKilled", id="pod"),
        pytest.param((running(),), [event("OOMKilling", "x")], "of container app, but no status", id="container"),
        pytest.param(
            (oom(),), [event("OOMKilling", "x", container="proxy")], "of container proxy, but no", id="other container"
        ),
        pytest.param(
            ({"name": "app", "ready": False, "state": ended("Error")},), [], "without reason OOMKilled", id="137"
        ),
        pytest.param((oom(),), [event("OOMKilling", "x"), event("OOMKilling", "y", container=None)], "", id="agree"),
        pytest.param((running(),), [], "", id="nothing said"),
    ],
)
def test_where_status_and_events_disagree_on_memory_it_is_said(statuses, events, words):
    notes = oom_event_notes(pod(statuses=statuses), events)
    assert len(notes) == bool(words)
    assert words in "; ".join(notes)


@pytest.mark.parametrize(
    ("status", "crashing"),
    [
        pytest.param(waiting("CrashLoopBackOff"), True, id="back-off"),
        pytest.param({"name": "app", "ready": False, "state": ended("Error", code=1)}, True, id="ended with an error"),
        pytest.param({"name": "app", "ready": False, "state": ended(code=0)}, True, id="killed for memory with code 0"),
        pytest.param(running(ready=False, lastState=ended("Error", code=1)), True, id="not ready after an error"),
        pytest.param(running(lastState=ended("Error", code=1)), False, id="ready again"),
        pytest.param(
            {"name": "app", "ready": True, "state": ended("Completed", code=0), "lastState": ended("Error", code=1)},
            False,
            id="an init container that did its work at the second try",
        ),
        pytest.param(
            {"name": "app", "ready": True, "state": ended("Error", code=1)}, True, id="ended, not yet unready"
        ),
        pytest.param({"name": "app", "ready": False, "state": ended("Completed", code=0)}, False, id="completed"),
        pytest.param(running(ready=False), False, id="merely not ready"),
    ],
)
def test_a_container_crashes_while_it_is_down_because_of_an_error(status, crashing):
    assert crashes(pod(statuses=(status,))) == (["app"] if crashing else [])


@pytest.mark.parametrize(
    ("events", "failed"),
    [
        pytest.param([event("FailedCreatePodSandBox", "x", container=None)], True, id="failed"),
        pytest.param(
            [event("FailedCreatePodSandBox", "x", age=9), event("Started", "x", age=1)], False, id="started since"
        ),
        pytest.param(
            [event("Started", "x", age=9), event("FailedCreatePodSandBox", "x", age=1)], True, id="failed again"
        ),
        pytest.param([event("SandboxChanged", "x")], False, id="a changed sandbox is no failure"),
        pytest.param([event("FailedCreatePodSandBox", "x", lastTimestamp=None)], True, id="undated"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_a_sandbox_failure_lasts_until_a_container_is_started(events, failed):
    assert sandbox_failed(events) is failed


def test_one_container_with_two_symptoms_is_one_container():
    status = waiting("ImagePullBackOff", lastState=ended())
    assert symptomatic_containers(pod(statuses=(status,))) == ["app"]


CORPUS = os.environ.get("SRE_AGENT_TEST_CORPUS")
recorded = pytest.mark.skipif(CORPUS is None, reason="SRE_AGENT_TEST_CORPUS names no directory")


def from_corpus(path):
    text = (Path(CORPUS) / "objects" / path).read_text()
    return json.loads(text) if path.endswith(".json") else yaml.safe_load(text)


@recorded
def test_a_recorded_pull_failure_is_a_registry_error_among_events_of_other_pods():
    told = from_corpus("troubleshoot/events/message-image-pull-fail.json")["items"]
    (failing,) = from_corpus("troubleshoot/pods/message-image-pull-fail.json")["items"]
    (pull,) = image_pulls(failing, told)
    assert pull.cause is C.REGISTRY_ERROR


@recorded
def test_a_recorded_oom_kill_that_never_restarted_is_seen():
    items = from_corpus("troubleshoot/pods/message-oomkill-pod.json")["items"]
    (kill,) = oom_kills(next(item for item in items if item["kind"] == "Pod"))
    assert (kill.container, kill.exit_code) == ("memory-eater", 137)


@recorded
@pytest.mark.parametrize(
    ("file", "pulling", "crashing"),
    [
        ("pod-imagepullbackoff", True, False),
        ("pod-crashloop", False, True),
        ("pod-error", False, True),
        ("pod-pending", False, False),
        ("pod-running-not-ready", False, False),
        ("pod-succeeded", False, False),
    ],
)
def test_recorded_pods_show_their_symptom_and_no_other(file, pulling, crashing):
    found = from_corpus(f"gitops-engine/{file}.yaml")
    assert (bool(image_pulls(found, ())), bool(crashes(found)), oom_kills(found)) == (pulling, crashing, [])
