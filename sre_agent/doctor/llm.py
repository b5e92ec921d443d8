"""The language model, where one is set up: does its server answer, does it know the model, does that call tools.

One question finds all of it, as a step would ask it. It is not counted in any budget, and nothing of a cluster is said.
A page, which is renewed as long as somebody looks, asks nothing.
"""

from contextlib import aclosing
from uuid import uuid4

from sre_agent.doctor.finding import Finding
from sre_agent.errors import SreAgentError
from sre_agent.llm.port import Allowance, Answer, Exchange, Purpose, Question, ToolSpec
from sre_agent.settings import Settings
from sre_agent.tools.validate import Rejected, arguments_of

PROBE_SECONDS = 45.0
"""How long the answer is waited for, retries included: a small model on a small machine may take long."""

TOOL = "report_ready"
ARGUMENTS = {"ready": "yes"}
QUESTION = Question(
    purpose=Purpose.PROBE,
    prompt="probe",
    messages=(
        {"role": "system", "content": f"You MUST call tool: {TOOL}. Do not answer with text."},
        {"role": "user", "content": f'Call {TOOL} with {{"ready": "yes"}}.'},
    ),
    tools=(
        ToolSpec(
            name=TOOL,
            description="Says that tools can be called.",
            parameters={
                "type": "object",
                "properties": {"ready": {"type": "string", "enum": ["yes"]}},
                "required": ["ready"],
                "additionalProperties": False,
            },
        ),
    ),
    must_call=TOOL,
)
SCRIPTED = "until then every step gets the scripted call, and analyses are composed"


async def check_llm(settings: Settings, *, asks: bool = True) -> list[Finding]:
    """Up to three findings; one that stands in the way of the others is the last.

    A model that does not answer is a failure where SRE_AGENT_PLANNER is llm, else a warning: runs do without it.
    """
    needed = settings.planner == "llm"
    if not settings.has_model:
        if needed:
            what = "SRE_AGENT_PLANNER is llm, and no model is set up"
            return [Finding.failed("LLM", what, "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without keys")]
        return [Finding.ok("LLM", "no model is set up: scripted")]
    if settings.planner == "scripted":
        return [Finding.ok("LLM", f"{settings.openai_model} is set up and not asked: SRE_AGENT_PLANNER is scripted")]
    if not asks:
        what = f"{settings.openai_model} is set up; not asked, since an answer costs tokens: `sre-agent doctor` asks it"
        return [Finding.ok("LLM", what)]
    from sre_agent.llm.client import OpenAIModel  # the import of a client that only a model is worth

    try:
        async with aclosing(OpenAIModel(settings, None)) as model:
            allowance = Allowance.begin(uuid4(), None, seconds=PROBE_SECONDS)
            exchange = await model.ask(QUESTION, allowance, within=PROBE_SECONDS)
    except SreAgentError as error:
        return [_missing(str(error), needed=needed)]
    return _judged(exchange, needed=needed)


def _judged(exchange: Exchange, *, needed: bool) -> list[Finding]:
    if exchange.answer is None:
        return [_missing(exchange.error or "there was no answer", needed=needed)]
    asked_without = f"; asked without {', '.join(exchange.without)}" if exchange.without else ""
    found = [
        Finding.ok("LLM", f"answers after {exchange.latency_ms} ms{asked_without}"),
        Finding.ok("LLM model", f"{exchange.model} is known"),
    ]
    fault = _fault(exchange.answer)
    if fault is None:
        return [*found, Finding.ok("LLM tool call", "made as it was asked for")]
    what = f"{fault}: usable, but falls back to the scripted call"
    return [*found, Finding.warning("LLM tool call", what, "use a model, or a server, that honours tool_choice")]


def _missing(error: str, *, needed: bool) -> Finding:
    return Finding.failed("LLM", error, SCRIPTED) if needed else Finding.warning("LLM", error, SCRIPTED)


def _fault(answer: Answer) -> str | None:
    """What is wrong with the call; None for the one that was asked for."""
    if not answer.calls:
        return "it answered with text instead of the call"
    if len(answer.calls) > 1 or answer.calls[0].name != TOOL:
        return "it made other calls than the one that it had to make"
    arguments = arguments_of(answer.calls[0].arguments)
    if isinstance(arguments, Rejected):
        return arguments.reason
    return None if arguments == ARGUMENTS else "its call has other arguments than the schema allows"
