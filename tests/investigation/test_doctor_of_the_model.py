"""`sre-agent doctor` and the language model: what is wrong, and what to do; a failure only where it is needed."""

import pytest
from aiohttp import web

from sre_agent.doctor import State
from sre_agent.doctor.finding import Finding
from sre_agent.doctor.llm import check_llm
from sre_agent.settings import load
from tests.investigation.scripted_model import Body, Reply, Script, call, scripted_model

READY = call("report_ready", {"ready": "yes"})


async def checked(script: Script, **environment: str) -> list[Finding]:
    async with scripted_model(script) as model:
        return await check_llm(load({"HOME": "/", **model.environment, **environment}))


def states(found: list[Finding]) -> list[tuple[str, State]]:
    return [(finding.check, finding.state) for finding in found]


async def test_a_model_that_makes_the_call_is_three_good_lines() -> None:
    found = await checked(lambda _: READY)
    assert states(found) == [("LLM", State.OK), ("LLM model", State.OK), ("LLM tool call", State.OK)]
    assert "ms" in found[0].what
    assert "test-model" in found[1].what


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        pytest.param({"content": '{"ready": "yes"}'}, "with text", id="text"),
        pytest.param(call("something_else", {}), "other calls", id="another tool"),
        pytest.param(call("report_ready", {"ready": "no"}), "other arguments", id="other arguments"),
        pytest.param(call("report_ready", "{"), "no JSON", id="no JSON"),
    ],
)
async def test_a_server_that_ignores_the_tool_choice_is_usable_with_a_warning(reply: Body, told: str) -> None:
    found = await checked(lambda _: reply, SRE_AGENT_PLANNER="llm")
    assert states(found) == [("LLM", State.OK), ("LLM model", State.OK), ("LLM tool call", State.WARNING)]
    assert told in found[2].what
    assert "usable, but falls back to the scripted call" in found[2].what


FAULTS = [
    pytest.param(401, "OPENAI_API_KEY", id="wrong key"),
    pytest.param(404, "OPENAI_MODEL", id="wrong model"),
    pytest.param(400, "refused the request", id="a request that is refused"),
]


@pytest.mark.parametrize(("status", "told"), FAULTS)
@pytest.mark.parametrize(("planner", "state"), [("llm", State.FAILED), (None, State.WARNING)])
async def test_what_is_wrong_says_what_to_set_and_fails_only_where_a_model_is_needed(
    status: int, told: str, planner: str | None, state: State
) -> None:
    def refusing(_: Body) -> Reply:
        return web.json_response({"error": {"message": "no"}}, status=status)

    needed = {} if planner is None else {"SRE_AGENT_PLANNER": planner}
    (finding,) = await checked(refusing, **needed)
    assert finding.state is state
    assert told in finding.what
    assert "scripted call" in (finding.instead or "")


async def test_an_address_without_a_server_is_said_with_the_address() -> None:
    (finding,) = await check_llm(load({"HOME": "/", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}))
    assert finding.state is State.WARNING
    assert "http://127.0.0.1:9/v1 cannot be reached" in finding.what


async def test_parameters_that_a_server_refuses_are_named() -> None:
    def picky(body: Body) -> Reply:
        if "temperature" in body:
            return web.json_response({"error": {"message": "no temperature here", "param": "temperature"}}, status=400)
        return READY

    found = await checked(picky)
    assert "asked without temperature" in found[0].what
    assert found[2].state is State.OK


async def test_without_a_model_there_is_one_neutral_line() -> None:
    assert await check_llm(load({"HOME": "/"})) == [Finding.ok("LLM", "no model is set up: scripted")]


async def test_a_model_that_is_set_up_and_not_wanted_is_not_asked() -> None:
    def never(_: Body) -> Reply:
        raise AssertionError("it was asked")

    (finding,) = await checked(never, SRE_AGENT_PLANNER="scripted")
    assert finding.state is State.OK
    assert "not asked" in finding.what


async def test_the_key_is_in_no_finding() -> None:
    def echoing(_: Body) -> Reply:
        message = "Incorrect API key provided: sk-test-0123456789abcdef0123456789abcdef"
        return web.json_response({"error": {"message": message}}, status=500)

    found = await checked(echoing)
    assert "0123456789abcdef" not in str(found)


async def test_certificates_that_cannot_be_read_are_a_finding() -> None:
    settings = load({"HOME": "/", "OPENAI_BASE_URL": "https://127.0.0.1:9/v1", "SRE_AGENT_LLM_CA": __file__})
    (finding,) = await check_llm(settings)
    assert "SRE_AGENT_LLM_CA" in finding.what
