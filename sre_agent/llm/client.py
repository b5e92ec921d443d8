"""A language model behind the Chat Completions API: OpenAI's own server, or any other that speaks like it.

Made by `agent`. The only importer of `openai`, when the first question is asked. Protects three rules: a server can
cost no more than its budgets in time, tokens, money and memory; what it refuses to be asked with is left out from then
on; and none of its failures is anything but an exchange that says so.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sre_agent import metrics
from sre_agent.errors import BadInput
from sre_agent.llm.port import Allowance, Answer, Exchange, Question, SaidCall, ToolSpec
from sre_agent.log import get_logger
from sre_agent.redaction import redact_text
from sre_agent.settings import Settings
from sre_agent.store import Store
from sre_agent.store.llm_calls import Limits, Spent

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RETRIES = 2
MOST_BYTES = 4 * 2**20
"""Of one answer: more is no answer to anything that is asked here."""

CAN_GO = ("temperature", "reasoning_effort", "parallel_tool_calls", "tool_choice", "strict", "max_completion_tokens")
"""What a server may be asked without; in place of the last one it gets `max_tokens`."""

MOST_SAID = 300
"""Characters of a server's own error message."""

CHARACTERS_OF_A_TOKEN = 3
"""For an estimate that is rather too high, before a server says what it was."""

PAUSE_SECONDS = 30.0
"""So long a server that could not be reached is not asked again by anybody in this process."""

log = get_logger(__name__)


class NotUsable(Exception):
    """An answer that is none; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Failure:
    """Why there is no answer. `silencing`: the next question would fare no better."""

    error: str
    silencing: bool


class OpenAIModel:
    """One model of one server, for all runs of this process."""

    def __init__(self, settings: Settings, store: Store | None) -> None:
        """Without a store nothing is counted: for whoever only looks whether the server answers."""
        self.name = settings.openai_model
        self._settings = settings
        self._store = store
        self._server = settings.openai_base_url or "https://api.openai.com/v1"
        self._trust = None if settings.llm_ca is None else _trust(settings.llm_ca)
        self._client: AsyncOpenAI | None = None
        self._without: list[str] = []
        self._silent: tuple[float, str] | None = None

    async def aclose(self) -> None:
        """Closes the connections to the server."""
        if self._client is not None:
            await self._client.close()

    async def ask(self, question: Question, allowance: Allowance, *, within: float | None = None) -> Exchange:
        """One exchange within all budgets. Raises Unreachable where the store that keeps them is away."""
        began = time.monotonic()
        patience = min(allowance.until - began, within if within is not None else allowance.until - began)
        barred = self._barred(allowance, began, patience)
        if barred is not None:
            return Exchange(question=question, model=self.name, answer=None, error=barred)
        spent = await self._reserve(question, allowance)
        if isinstance(spent, str):
            return Exchange(question=question, model=self.name, answer=None, error=spent)
        try:
            exchange = await self._asked(question, allowance, patience, began)
        except asyncio.CancelledError:
            await asyncio.shield(self._settle(spent, Exchange(question=question, model=self.name, answer=None)))
            raise
        await self._settle(spent, exchange)
        metrics.LLM_SECONDS.observe(exchange.latency_ms / 1000, question.purpose.value)
        metrics.LLM_CALLS.add(question.purpose.value, "error" if exchange.error else "answered")
        metrics.LLM_TOKENS.add("prompt", by=exchange.prompt_tokens)
        metrics.LLM_TOKENS.add("completion", by=exchange.completion_tokens)
        return exchange

    def _barred(self, allowance: Allowance, now: float, patience: float) -> str | None:
        """Why nothing is asked at all."""
        if allowance.silenced is not None:
            return f"it is not asked again in this run: {allowance.silenced}"
        if patience <= 0:
            limit = f"{self._settings.llm_time_per_run.total_seconds():g} s"
            return f"the time of this run for a model is used up (SRE_AGENT_LLM_TIME_PER_RUN, {limit})"
        if self._silent is not None and now < self._silent[0]:
            return f"it is asked again in {self._silent[0] - now:.0f} s: {self._silent[1]}"
        return None

    async def _asked(self, question: Question, allowance: Allowance, patience: float, began: float) -> Exchange:
        try:
            async with asyncio.timeout(patience):
                found = await self._send(question)
        except TimeoutError:
            found = _Failure(error=f"it did not answer within {patience:.0f} s", silencing=True)
        latency = round((time.monotonic() - began) * 1000)
        without = tuple(self._without)
        if isinstance(found, _Failure):
            if found.silencing:
                allowance.silenced = found.error
                self._silent = (time.monotonic() + PAUSE_SECONDS, found.error)
            log.warning("llm.no_answer", model=self.name, purpose=question.purpose, error=found.error)
            return Exchange(
                question=question, model=self.name, answer=None, error=found.error, latency_ms=latency, without=without
            )
        self._silent = None
        answer, prompt_tokens, completion_tokens = found
        return Exchange(
            question=question,
            model=self.name,
            answer=answer,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost=self._cost(prompt_tokens, completion_tokens),
            latency_ms=latency,
            without=without,
        )

    async def _send(self, question: Question) -> tuple[Answer, int, int] | _Failure:
        """The answer, asked for again without each parameter that the server refuses."""
        import openai

        while True:
            try:
                return _understood(await self._complete(question), question)
            except NotUsable as error:
                return _Failure(error=str(error), silencing=False)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = self._refused(error)
                if refused is None:
                    return _Failure(
                        error=f"it refused the request ({error.status_code}): {_said(error)}", silencing=False
                    )
                self._without.append(refused)
                log.event("llm.parameter_refused", model=self.name, parameter=refused)
            except openai.OpenAIError as error:
                if isinstance(error.__cause__, NotUsable):
                    return _Failure(error=str(error.__cause__), silencing=False)
                return _Failure(error=self._explained(error), silencing=True)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                return _Failure(error=f"its answer cannot be read: {_cut(str(error))}", silencing=False)

    async def _complete(self, question: Question) -> dict[str, Any]:
        """The body of the server's answer as JSON."""
        client = self._client or self._connect()
        body = self._body(question)
        response = await client.chat.completions.with_raw_response.create(**body)
        found = json.loads(response.text)
        if not isinstance(found, dict):
            raise NotUsable("its answer is not a JSON object")
        return found

    def _connect(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        seconds = self._settings.llm_timeout.total_seconds()
        # A list is never empty for httpx: proxies and SSL_CERT_FILE of the environment are honoured by its default.
        options: dict[str, Any] = {} if self._trust is None else {"verify": self._trust}
        self._client = AsyncOpenAI(
            api_key=self._settings.openai_api_key or "none",
            base_url=self._server,
            timeout=seconds,
            max_retries=RETRIES,
            http_client=DefaultAsyncHttpxClient(
                timeout=seconds,
                event_hooks={"response": [_bounded]},
                headers={"Accept-Encoding": "identity"},
                **options,
            ),
        )
        return self._client

    def _body(self, question: Question) -> dict[str, Any]:
        """The request. What only makes an answer better may be refused by a server; it is then left out."""
        limit = "max_tokens" if "max_completion_tokens" in self._without else "max_completion_tokens"
        body: dict[str, Any] = {"model": self.name, "messages": list(question.messages), limit: question.max_tokens}
        wishes: dict[str, Any] = {"temperature": 0}
        if self._settings.llm_reasoning is not None:
            wishes["reasoning_effort"] = self._settings.llm_reasoning
        if question.tools:
            body["tools"] = [_tool(tool, strict="strict" not in self._without) for tool in question.tools]
            wishes["parallel_tool_calls"] = False
            named = {"type": "function", "function": {"name": question.must_call}}
            wishes["tool_choice"] = "required" if question.must_call is None else named
        return body | {name: value for name, value in wishes.items() if name not in self._without}

    def _refused(self, error: Any) -> str | None:
        """The parameter that a refusal is about, and that can be left out; None where there is none."""
        told = f"{getattr(error, 'param', None) or ''} {error.message}"
        return next((name for name in CAN_GO if name in told and name not in self._without), None)

    def _explained(self, error: Exception) -> str:
        """What a failure means, and what to do about it."""
        import openai

        if isinstance(error, openai.APITimeoutError):
            return f"{self._server} did not answer within {self._settings.llm_timeout.total_seconds():g} s"
        if isinstance(error, openai.APIConnectionError):
            return f"{self._server} cannot be reached: {_cut(str(error.__cause__ or error))}"
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return f"{self._server} refuses the key ({error.status_code}): set OPENAI_API_KEY"
        if isinstance(error, openai.NotFoundError):
            return f"{self._server} has no model {self.name} (404): set OPENAI_MODEL or OPENAI_BASE_URL"
        if isinstance(error, openai.APIStatusError):
            return f"{self._server} answered {error.status_code}: {_said(error)}"
        return f"{self._server}: {_cut(str(error))}"

    async def _reserve(self, question: Question, allowance: Allowance) -> int | str | None:
        """The number under which the call is counted; the reason why it is not made; None where nobody counts."""
        if self._store is None:
            return None
        characters = sum(len(str(message)) for message in question.messages) + sum(len(str(t)) for t in question.tools)
        prompt_tokens = characters // CHARACTERS_OF_A_TOKEN
        settings = self._settings
        reserved = await self._store.llm_calls.reserve(
            budget_id=allowance.budget_id,
            incident_id=allowance.incident_id,
            purpose=question.purpose.value,
            model=self.name,
            tokens=prompt_tokens + question.max_tokens,
            cost=self._cost(prompt_tokens, question.max_tokens) or 0.0,
            limits=Limits(
                calls_per_run=settings.llm_calls_per_run,
                tokens_per_run=settings.llm_tokens_per_run,
                tokens_per_day=settings.llm_tokens_per_day,
                cost_per_day=settings.llm_cost_per_day,
            ),
        )
        return reserved.why if isinstance(reserved, Spent) else reserved

    async def _settle(self, number: int | None, exchange: Exchange) -> None:
        if self._store is None or number is None:
            return
        await self._store.llm_calls.settle(
            number,
            prompt_tokens=exchange.prompt_tokens,
            completion_tokens=exchange.completion_tokens,
            cost=exchange.cost or 0.0,
            latency_ms=exchange.latency_ms,
            error=exchange.error,
        )

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """In the currency of the prices, which are for a million tokens."""
        price_in, price_out = self._settings.llm_price_in, self._settings.llm_price_out
        if price_in is None and price_out is None:
            return None
        return (prompt_tokens * (price_in or 0.0) + completion_tokens * (price_out or 0.0)) / 1e6


def _tool(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function | ({"strict": True} if strict else {})}


def _understood(body: dict[str, Any], question: Question) -> tuple[Answer, int, int]:
    """The first choice of an answer, and its tokens; estimated where the server does not say. Raises NotUsable."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NotUsable("its answer holds no choice")
    said = choices[0].get("message")
    if not isinstance(said, dict):
        raise NotUsable("its answer holds no message")
    text = said.get("content") or said.get("refusal")
    calls = tuple(
        SaidCall(name=_text(function.get("name")), arguments=_text(function.get("arguments")))
        for call in said.get("tool_calls") or ()
        if isinstance(call, dict) and isinstance(function := call.get("function"), dict)
    )
    answer = Answer(text=_text(text) if text else None, calls=calls, cut=choices[0].get("finish_reason") == "length")
    counted = body.get("usage")
    usage: dict[str, Any] = counted if isinstance(counted, dict) else {}
    asked = sum(len(str(message)) for message in question.messages)
    given = len(answer.text or "") + sum(len(call.arguments) for call in calls)
    return (
        answer,
        _tokens(usage.get("prompt_tokens"), asked),
        _tokens(usage.get("completion_tokens"), given),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tokens(said: Any, characters: int) -> int:
    """What the server says, as far as it can be true; else an estimate."""
    usable = isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= 10**9
    return said if usable else characters // CHARACTERS_OF_A_TOKEN


def _said(error: Any) -> str:
    return _cut(str(error.message))


def _cut(text: str) -> str:
    """Foreign words for a log line: redacted, on one line, not too many."""
    line = " ".join(redact_text(text).split())
    return line if len(line) <= MOST_SAID else f"{line[:MOST_SAID]}…"


def _trust(path: Path) -> ssl.SSLContext:
    """The certificate authorities of a file. Raises BadInput."""
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"SRE_AGENT_LLM_CA={path}: no certificates can be read from it: {error}") from error


async def _bounded(response: Any) -> None:
    """Lets no more of an answer in than MOST_BYTES, and nothing that swells on its way."""
    from httpx2 import AsyncByteStream

    class Bounded(AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            async for part in self._stream:
                read += len(part)
                if read > MOST_BYTES:
                    raise NotUsable(f"the answer is larger than {MOST_BYTES // 2**20} MiB")
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    encoding = response.headers.get("content-encoding", "identity")
    if encoding.casefold() != "identity":
        raise NotUsable(f"the answer came as {encoding}, although it was asked for as it is")
    response.stream = Bounded(response.stream)
