"""A model looks into an alert that no runbook covers: what it may do, what it may not, and that it always ends."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from sre_agent.analysis.checker import check
from sre_agent.analysis.facts import gather
from sre_agent.cluster.port import Unavailable
from sre_agent.objects import Object
from sre_agent.run import RunStatus, StepStatus
from sre_agent.store import Store
from sre_agent.tools.registry import REMEDIATIONS
from tests.investigation.investigated import (
    POD,
    Watched,
    conclusion,
    dropped,
    found,
    investigated,
    queued,
    reads,
    settings_for,
    trace_text,
    unknown_alert,
)
from tests.investigation.scripted_model import (
    Body,
    Reply,
    Script,
    bound,
    by_script,
    call,
    concluding,
    looking,
    offered,
    parameters,
    scripted_model,
)

TRUE = ("The container says that LEDGER_GRPC_URL is not set and replaces LEDGER_URL since 5.13.0.", "get_pod_logs")


def good() -> Script:
    """Two reads, two findings that are true, and a hypothesis."""
    history = ("Revision 12 has 0 ready pods and revision 11 has 2.", "get_rollout_history")
    conclusion = concluding([TRUE, history], "Release 5.13.0 needs a variable that is not set.")
    return looking("get_pod_logs", "get_rollout_history", then=conclusion)


async def test_a_good_investigation_reads_concludes_and_stands_in_the_analysis(store: Store) -> None:
    cluster = Watched()
    async with scripted_model(good()) as model:
        run = await investigated(store, model, cluster=cluster)
    assert run.runbook_id == "RB_UNKNOWN"
    assert run.status is RunStatus.SUCCEEDED
    assert [step.step for step in run.steps] == [
        "investigate-1-get_pod_logs",
        "investigate-2-get_rollout_history",
        "investigate-conclude",
    ]
    assert all(step.llm is not None and step.llm["used"] == "first answer" for step in run.steps)
    assert len(found(run)["findings"]) == 2
    assert dropped(run) == []
    assert cluster.tried == []
    assert run.action_taken is None
    assert run.action_recommended is None
    events = {event.payload.get("step"): event.id for event in await store.events(run.incident_id or 0)}
    logs, last = events["investigate-1-get_pod_logs"], events["investigate-conclude"]
    text = run.analysis_markdown or ""
    assert f"- The model notes: `{TRUE[0]}` [event {logs}] [event {last}]." in text
    supposed = "`Release 5.13.0 needs a variable that is not set.`"
    assert f"The model supposes, which nothing proves: {supposed} [event {last}]." in text


async def test_the_analysis_of_an_investigation_passes_the_checker(store: Store) -> None:
    async with scripted_model(good()) as model:
        run = await investigated(store, model)
    incident = await store.book.find(run.incident_id or 0)
    case = await gather(store, incident, now=incident.updated_at)
    assert check(run.analysis_markdown or "", case) == []


async def test_only_tools_that_read_the_bound_target_are_offered_and_each_once(store: Store) -> None:
    every = (
        "get_pod_events",
        "get_pod_logs",
        "check_imagepullbackoff",
        "check_oom",
        "get_rollout_history",
        "get_node_ready",
        "get_node_conditions",
    )
    async with scripted_model(looking(*every, then=concluding([]))) as model:
        run = await investigated(store, model)
    assert reads(run) == list(every)
    assert {step.status for step in run.steps} == {StepStatus.DONE}
    assert [len(offered(body)) for body in model.asked] == [7, 7, 6, 5, 4, 3, 2, 1]
    assert {body["tool_choice"] for body in model.asked[:-1]} == {"required"}
    assert offered(model.asked[-1]) == ["conclude"]
    assert model.asked[-1]["tool_choice"]["function"]["name"] == "conclude"
    assert not set(REMEDIATIONS) & {name for body in model.asked for name in offered(body)}
    assert parameters(model.asked[0], "get_pod_logs")["properties"]["pod"] == {"type": "string", "enum": [POD]}
    assert parameters(model.asked[0], "get_node_ready")["properties"]["node"]["enum"] == ["worker-3"]


async def test_an_alert_about_a_node_is_looked_into_at_the_node(store: Store) -> None:
    alert = unknown_alert(node="worker-3", namespace=None, pod=None, container=None, alertname="NodeSomething")
    script = looking("get_node_ready", then=concluding([("The node worker-3 is ready.", "get_node_ready")]))
    async with scripted_model(script) as model:
        run = await investigated(store, model, alert=alert)
    assert offered(model.asked[0]) == ["get_node_ready", "get_node_conditions"]
    assert run.target is not None
    assert run.target.node == "worker-3"
    assert dropped(run) == []


def always(reply: Reply) -> Script:
    return lambda _body: reply


def other(name: str, **arguments: Any) -> Script:
    """The right call but for some arguments."""
    return lambda body: call(name, {**bound(body, name), **arguments})


def the_same_again() -> Script:
    return lambda _body: call("get_pod_logs", {"namespace": "payments", "pod": POD, "container": "app"})


def two_at_once(body: Body) -> Body:
    both = [call(name, bound(body, name))["tool_calls"][0] for name in ("get_pod_logs", "check_oom")]
    return {"tool_calls": both}


HOSTILE = [
    pytest.param(always(call(tool, {"namespace": "payments", "pod": POD, "container": "app"})), 0, id=tool)
    for tool in sorted(REMEDIATIONS)
] + [
    pytest.param(always(call("kubectl_delete", {})), 0, id="a tool that nobody has"),
    pytest.param(always(call("get_runbook", {})), 0, id="a diagnostic that was not offered"),
    pytest.param(always(call("conclude", {"findings": [], "hypothesis": None})), 0, id="concluding before a look"),
    pytest.param(other("get_pod_logs", pod="ledger-0"), 0, id="another pod"),
    pytest.param(other("get_pod_logs", namespace="kube-system"), 0, id="another namespace"),
    pytest.param(other("get_pod_logs", container="istio-proxy"), 0, id="another container"),
    pytest.param(other("get_pod_logs", tail=10**9), 0, id="an argument of its own"),
    pytest.param(other("get_node_ready", node="worker-1"), 0, id="another node"),
    pytest.param(the_same_again(), 1, id="the same call for ever"),
    pytest.param(two_at_once, 0, id="two calls at once"),
    pytest.param(always({"content": "Delete the pod, I am sure."}), 0, id="text instead of a call"),
    pytest.param(always(call("get_pod_logs", "{")), 0, id="arguments that are no JSON"),
    pytest.param(always(call("get_pod_logs", "[" * 100_000)), 0, id="arguments without an end"),
    pytest.param(always(call("get_pod_logs", '{"pod": "a", "pod": "b"}')), 0, id="a key that is there twice"),
    pytest.param(
        looking("get_pod_logs", then=always(call("conclude", {"findings": "all is well"}))),
        1,
        id="a conclusion without its form",
    ),
]


@pytest.mark.parametrize(("script", "read"), HOSTILE)
async def test_what_was_not_offered_is_told_back_once_and_then_it_ends(store: Store, script: Script, read: int) -> None:
    cluster = Watched()
    async with scripted_model(script) as model:
        run = await investigated(store, model, cluster=cluster)
    assert cluster.tried == []
    assert len(reads(run)) == read
    assert len(model.asked) == read + 2
    last = conclusion(run)
    assert last.status is StepStatus.FAILED
    assert "two answers in a row were refused" in (last.reason or "")
    assert [exchange["verdict"] == "accepted" for exchange in (last.llm or {})["exchanges"]] == [False, False]
    assert run.status is RunStatus.SUCCEEDED
    assert run.action_error is None
    assert "The model's investigation: `it ended without a conclusion" in (run.analysis_markdown or "")


async def test_a_refused_answer_is_told_back_with_what_was_wrong(store: Store) -> None:
    answers = iter([call("delete_pod", {"namespace": "payments"})])

    right = looking("get_pod_logs", then=concluding([TRUE]))

    def script(body: Body) -> Reply:
        return next(answers, None) or right(body)

    async with scripted_model(script) as model:
        run = await investigated(store, model)
    told = model.asked[1]["messages"][-1]["content"]
    assert "delete_pod cannot be called" in told
    assert "get_pod_logs" in told
    first = run.steps[0]
    assert first.llm is not None
    assert first.llm["used"] == "corrected answer"
    assert [exchange["verdict"] for exchange in first.llm["exchanges"]][1] == "accepted"
    assert conclusion(run).status is StepStatus.DONE


async def test_bad_answers_between_good_ones_never_make_it_longer_than_its_bounds(store: Store) -> None:
    """Every second answer is bad, and it concludes only when nothing else is left."""
    turns = iter(range(1000))

    def script(body: Body) -> Reply:
        if next(turns) % 2 == 0:
            return call("drain_node", {"node": "worker-3"})
        name = offered(body)[0]
        return concluding([])(body) if name == "conclude" else call(name, bound(body, name))

    cluster = Watched()
    async with scripted_model(script) as model:
        run = await investigated(store, model, cluster=cluster)
    assert len(reads(run)) == 7
    assert len(model.asked) == 16
    assert cluster.tried == []
    assert conclusion(run).status is StepStatus.DONE


async def test_the_budget_of_the_run_ends_it(store: Store) -> None:
    async with scripted_model(good()) as model:
        run = await investigated(store, model, SRE_AGENT_LLM_CALLS_PER_RUN="2")
    assert len(model.asked) == 2
    assert "SRE_AGENT_LLM_CALLS_PER_RUN" in (conclusion(run).reason or "")
    assert reads(run) == ["get_pod_logs", "get_rollout_history"]
    assert run.status is RunStatus.SUCCEEDED


async def test_a_model_that_goes_away_in_the_middle_leaves_what_was_read(store: Store) -> None:
    script = looking("get_pod_logs", then=always(web.Response(status=401, text="{}")))
    async with scripted_model(script) as model:
        run = await investigated(store, model)
    assert reads(run) == ["get_pod_logs"]
    assert "the model did not answer" in (conclusion(run).reason or "")
    assert "refuses the key" in (conclusion(run).reason or "")
    assert run.status is RunStatus.SUCCEEDED
    assert "LEDGER_GRPC_URL" in (run.analysis_markdown or "")


async def test_invented_findings_are_dropped_and_stand_nowhere_but_in_the_trace(store: Store) -> None:
    invented = [
        ("The container was killed 77 times.", "get_pod_logs"),
        ("Pod ledger-0 is gone.", "get_pod_logs"),
        ("Revision 12 has 0 ready pods.", "get_pod_logs"),
        ("Run kubectl delete deployment now.", "get_pod_logs"),
        ("The node is full.", "investigate-9-get_node_ready"),
    ]
    script = looking("get_pod_logs", then=concluding([*invented, TRUE], "Node worker-99 has no memory."))
    async with scripted_model(script) as model:
        run = await investigated(store, model)
    assert [each["statement"] for each in found(run)["findings"]] == [TRUE[0]]
    assert found(run)["hypothesis"] is None
    assert [each["statement"] for each in dropped(run)] == [
        *(said for said, _ in invented),
        "Node worker-99 has no memory.",
    ]
    assert all(each["reason"] for each in dropped(run))
    text = run.analysis_markdown or ""
    assert "Some of what the model said was dropped" in text
    for stray in ("77", "ledger-0", "kubectl delete", "worker-99"):
        assert stray not in text
    incident = await store.book.find(run.incident_id or 0)
    case = await gather(store, incident, now=incident.updated_at)
    last = next(event.id for event in case.steps if event.payload["tool"] == "conclude")
    quoted = text.replace("- The model notes:", f"- The pod `ledger-0` is gone [event {last}].\n- The model notes:")
    counted = text.replace("- The model notes:", f"- It has 77 restarts [event {last}].\n- The model notes:")
    assert check(text, case) == []
    assert [fault.said for fault in check(quoted, case)] == ["ledger-0"]
    assert "77 restart" in str(check(counted, case))


async def test_what_cannot_be_bound_is_not_looked_into_and_says_why(store: Store) -> None:
    alert = unknown_alert(pod=None, container=None, uid=None)
    async with scripted_model(good()) as model:
        run = await investigated(store, model, alert=alert)
    assert model.asked == []
    assert conclusion(run).status is StepStatus.SKIPPED
    assert "nothing was investigated" in (conclusion(run).reason or "")
    assert run.status is RunStatus.SUCCEEDED
    assert run.target is None


async def test_an_alert_of_another_cluster_is_not_looked_into(store: Store) -> None:
    alert = unknown_alert(cluster="elsewhere")
    async with scripted_model(good()) as model:
        run = await investigated(store, model, alert=alert, CLUSTER_NAME="here")
    assert model.asked == []
    assert "elsewhere" in (conclusion(run).reason or "")


class Unread(Watched):
    """Logs cannot be read."""

    async def pod_logs(self, *arguments: Any, **options: Any) -> str:
        raise Unavailable("the kubelet does not answer")


class Away(Watched):
    """Nothing can be read."""

    async def get(self, *arguments: Any, **options: Any) -> Object:
        raise Unavailable("no route to host")


async def test_a_read_that_fails_is_a_step_that_says_so_and_fails_no_run(store: Store) -> None:
    script = looking("get_pod_logs", "check_oom", then=concluding([("It was not killed.", "check_oom")]))
    async with scripted_model(script) as model:
        run = await investigated(store, model, cluster=Unread())
    assert [step.status for step in run.steps] == [StepStatus.FAILED, StepStatus.DONE, StepStatus.DONE]
    assert "the kubelet does not answer" in model.asked[1]["messages"][-1]["content"]
    assert run.status is RunStatus.SUCCEEDED
    assert run.retry_at is None


async def test_a_cluster_that_is_away_is_not_looked_into(store: Store) -> None:
    async with scripted_model(good()) as model:
        run = await investigated(store, model, cluster=Away())
    assert model.asked == []
    assert "no route to host" in (conclusion(run).reason or "")
    assert run.status is RunStatus.SUCCEEDED


async def test_secrets_of_a_log_do_not_leave_and_a_finding_may_name_their_placeholder(store: Store) -> None:
    class Leaking(Watched):
        async def pod_logs(self, *arguments: Any, **options: Any) -> str:
            return "login failed with password=c4n4ry-d0-n0t-k33p"

    async with scripted_model(looking("get_pod_logs", then=concluding([("A login failed.", "get_pod_logs")]))) as model:
        run = await investigated(store, model, cluster=Leaking())
    assert len(found(run)["findings"]) == 1
    assert "redacted" in str(model.asked[1])
    assert "c4n4ry" not in str(model.asked)
    assert not any("c4n4ry" in trace_text(step) for step in run.steps)


async def test_a_run_that_is_cancelled_in_the_middle_goes_on_without_reading_twice(store: Store) -> None:
    hangs = asyncio.Event()

    def hanging(_body: Body) -> Reply:
        hangs.set()
        return web.Response(status=503, headers={"Retry-After": "30"})

    first, again = looking("get_pod_logs", then=hanging), looking("get_rollout_history", then=concluding([TRUE]))
    async with scripted_model(first) as model:
        alert = unknown_alert()
        assignment = replace(await queued(store, alert, settings_for(model)), returns=True)
        task = asyncio.create_task(investigated(store, model, assignment=assignment, alert=alert))
        await asyncio.wait_for(hangs.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        model.answering, asked = by_script(again), len(model.asked)
        run = await investigated(store, model, assignment=assignment, alert=alert)
        told = model.asked[asked:]
    assert reads(run) == ["get_pod_logs", "get_rollout_history"]
    assert "get_pod_logs" not in offered(told[0])
    assert "LEDGER_GRPC_URL" in told[0]["messages"][-1]["content"]
    stored = [event.payload["step"] for event in await store.events(run.incident_id or 0) if event.event_type == "step"]
    assert stored == [step.step for step in run.steps]
    assert len(found(run)["findings"]) == 1
