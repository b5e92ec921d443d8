"""A language model behind the Chat Completions API: OpenAI's own server, or any other that speaks like it.

Made by `agent`. The only importer of `openai`, when the first question is asked. Protects three rules: a server can
cost no more than its budgets in time, tokens, money and memory; what it refuses to be asked with is left out from then
on; and none of its failures is anything but an exchange that says so.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sre_agent import metrics
from sre_agent.border import Border
from sre_agent.errors import BadInput
from sre_agent.llm.answers import NotUsable, Understood, understood
from sre_agent.llm.meter import Meter, Reserved
from sre_agent.llm.port import Allowance, Exchange, Question
from sre_agent.llm.requests import Manners
from sre_agent.log import get_logger
from sre_agent.redaction import redact_text
from sre_agent.settings import Settings
from sre_agent.store import Store
from sre_agent.store.llm_calls import Spent

if TYPE_CHECKING:
    from openai import AsyncOpenAI

OPENAI = "https://api.openai.com/v1"

RETRIES = 2
FIRST_PAUSE = 0.5
"""Seconds before the first retry, twice as many before the next; a server's `Retry-After` goes before."""

MOST_BYTES = 4 * 2**20
"""Of one answer: more is no answer to anything that is asked here."""

MOST_SAID = 300
"""Characters of a server's own error message."""

SILENCE_SECONDS = 30.0
"""So long a server that could not be reached is not asked again by anybody in this process."""

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Failure:
    """Why there is no answer.

    `silencing`: the next question would fare no better. `worked`: the server may have done the work, and bill it.
    """

    error: str
    silencing: bool = False
    worked: bool = False


class OpenAIModel:
    """One model of one server, for all runs of this process."""

    def __init__(self, settings: Settings, store: Store | None) -> None:
        """Without a store nothing is counted: for whoever only looks whether the server answers. Raises BadInput."""
        self.name = settings.openai_model
        self._settings = settings
        self._meter = Meter(settings, store)
        self._manners = Manners(model=self.name, reasoning=settings.llm_reasoning)
        self._place = redact_text(settings.openai_base_url or OPENAI)
        self._trust = None if settings.llm_ca is None else _trust(settings.llm_ca)
        self._client: AsyncOpenAI | None = None
        self._silent: tuple[float, str] | None = None

    async def aclose(self) -> None:
        """Closes the connections to the server."""
        if self._client is not None:
            await self._client.close()

    async def ask(self, question: Question, allowance: Allowance, *, within: float | None = None) -> Exchange:
        """One exchange within all budgets. Raises Unreachable where the store that keeps them is away."""
        began = time.monotonic()
        until = allowance.until if within is None else min(allowance.until, began + within)
        barred = self._barred(allowance, began, until)
        if barred is not None:
            return Exchange(question=question, model=self.name, answer=None, error=barred)
        reserved = await self._meter.reserve(question, allowance, model=self.name)
        if isinstance(reserved, Spent):
            return Exchange(question=question, model=self.name, answer=None, error=reserved.why)
        found: Understood | _Failure = _Failure(error="interrupted", worked=True)
        try:
            found = await self._reached(question, until)
        finally:
            exchange = self._exchange(question, found, reserved, began)
            await asyncio.shield(self._meter.settle(reserved, exchange))
        self._learn(found, allowance, question)
        _measured(exchange)
        return exchange

    def _barred(self, allowance: Allowance, now: float, until: float) -> str | None:
        """Why nothing is asked at all."""
        if allowance.silenced is not None:
            return f"it is not asked again in this run: {allowance.silenced}"
        if allowance.until <= now:
            limit = f"{self._settings.llm_time_per_run.total_seconds():g} s"
            return f"the time of this run for a model is used up (SRE_AGENT_LLM_TIME_PER_RUN, {limit})"
        if until <= now:
            limit = f"{self._settings.llm_time_per_step.total_seconds():g} s"
            return f"the time of this step for a model is used up (SRE_AGENT_LLM_TIME_PER_STEP, {limit})"
        if self._silent is not None and now < self._silent[0]:
            return f"it is asked again in {self._silent[0] - now:.0f} s: {self._silent[1]}"
        return None

    def _exchange(self, question: Question, found: Understood | _Failure, reserved: Reserved, began: float) -> Exchange:
        """What is kept. What a server says of tokens is believed up to what was reserved."""
        answer, error = (None, found.error) if isinstance(found, _Failure) else (found.answer, None)
        prompt_tokens, completion_tokens = reserved.prompt_tokens, reserved.completion_tokens
        if isinstance(found, Understood):
            prompt_tokens = min(prompt_tokens if found.prompt_tokens is None else found.prompt_tokens, prompt_tokens)
            completion_tokens = min(found.completion_tokens, completion_tokens)
        elif not found.worked:
            prompt_tokens = completion_tokens = 0
        return Exchange(
            question=question,
            model=self.name,
            answer=answer,
            error=error,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost=self._meter.cost(prompt_tokens, completion_tokens),
            latency_ms=round((time.monotonic() - began) * 1000),
            without=self._manners.without,
        )

    def _learn(self, found: Understood | _Failure, allowance: Allowance, question: Question) -> None:
        """A server that could not be reached is left alone: by this run to its end, by the others for a while."""
        if not isinstance(found, _Failure):
            self._silent = None
            return
        log.warning("llm.no_answer", model=self.name, purpose=question.purpose, error=found.error)
        if found.silencing:
            allowance.silenced = found.error
            self._silent = (time.monotonic() + SILENCE_SECONDS, found.error)

    async def _reached(self, question: Question, until: float) -> Understood | _Failure:
        """The answer, or why there is none: also where an error was foreseen by nobody."""
        found: Understood | _Failure | None = None
        with Border("llm.crashed", model=self.name) as border:
            await asyncio.to_thread(_load)
            found = await self._asked(question, until)
        return found if found is not None else _Failure(error=f"asking it failed: {border.error}", worked=True)

    async def _asked(self, question: Question, until: float) -> Understood | _Failure:
        """The answer, asked for again after a failure that passes, and without each parameter that is refused."""
        import openai

        retries = 0
        while True:
            body = self._manners.body(question)
            try:
                return understood(await self._complete(body, until))
            except NotUsable as error:
                return _Failure(error=_cut(str(error)), worked=True)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = self._manners.learn(body, parameter=error.param, told=error.message)
                if refused is None:
                    return _Failure(error=f"it refused the request ({error.status_code}): {_cut(error.message)}")
                log.event("llm.parameter_refused", model=self.name, parameter=refused)
            except (openai.APITimeoutError, TimeoutError):
                limit = min(
                    self._settings.llm_timeout.total_seconds(), self._settings.llm_time_per_step.total_seconds()
                )
                error_text = f"{self._place} did not answer in time (at most {limit:g} s)"
                return _Failure(error=error_text, silencing=True, worked=True)
            except openai.OpenAIError as error:
                pause = _pause(error, retries)
                if pause is None or retries == RETRIES or time.monotonic() + pause >= until:
                    return _Failure(error=self._explained(error, pause), silencing=True)
                retries += 1
                await asyncio.sleep(pause)
            except (OSError, ValueError, ImportError) as error:
                # A proxy or SSL_CERT_FILE of the environment that cannot be used, a URL that leads nowhere.
                return _Failure(error=f"{self._place} cannot be asked: {_cut(str(error))}", silencing=True)

    async def _complete(self, body: dict[str, Any], until: float) -> str:
        """The body of the server's answer to one request, all of it within SRE_AGENT_LLM_TIMEOUT."""
        client = self._client or self._connect()
        seconds = min(self._settings.llm_timeout.total_seconds(), until - time.monotonic())
        async with asyncio.timeout(seconds):
            response = await client.chat.completions.with_raw_response.create(**body)
        text: str = response.text
        return text

    def _connect(self) -> "AsyncOpenAI":
        """The client; its proxies are those of the environment. Raises OSError, ValueError or ImportError."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        # Their lines for each request would hold whole prompts where OPENAI_LOG=debug is set.
        for library in ("openai", "httpx2"):
            logging.getLogger(library).setLevel(logging.WARNING)
        seconds = self._settings.llm_timeout.total_seconds()
        verify: dict[str, Any] = {} if self._trust is None else {"verify": self._trust}
        transport = DefaultAsyncHttpxClient(
            timeout=seconds, event_hooks={"response": [_bounded]}, headers={"Accept-Encoding": "identity"}, **verify
        )
        self._client = AsyncOpenAI(
            api_key=self._settings.openai_api_key or "none",
            base_url=self._settings.openai_base_url or OPENAI,
            timeout=seconds,
            max_retries=0,
            http_client=transport,
        )
        return self._client

    def _explained(self, error: Exception, pause: float | None) -> str:
        """What a failure means, and what to do about it."""
        import openai

        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return f"{self._place} refuses the key ({error.status_code}): set OPENAI_API_KEY"
        if isinstance(error, openai.NotFoundError):
            return f"{self._place} has no model {self.name} (404): set OPENAI_MODEL or OPENAI_BASE_URL"
        if isinstance(error, openai.APIStatusError):
            wait = "" if pause is None or "retry-after" not in error.response.headers else f" (wait {pause:g} s)"
            return f"{self._place} answered {error.status_code}{wait}: {_cut(error.message)}"
        if isinstance(error, openai.APIConnectionError):
            return f"{self._place} cannot be reached: {_cut(str(error.__cause__ or error))}"
        return f"{self._place}: {_cut(str(error))}"


def _pause(error: Exception, retries: int) -> float | None:
    """Seconds after which a failed request may succeed; None for a failure that does not pass."""
    import openai

    ours = FIRST_PAUSE * 2**retries
    if not isinstance(error, openai.APIStatusError):
        return ours if isinstance(error, openai.APIConnectionError) else None
    if error.status_code not in {408, 409, 429} and error.status_code < 500:
        return None
    return _retry_after(error.response.headers.get("retry-after", "")) or ours


def _retry_after(header: str) -> float | None:
    """The seconds that a server asks for, as a number or as a date."""
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        then = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _measured(exchange: Exchange) -> None:
    purpose = exchange.question.purpose.value
    metrics.LLM_SECONDS.observe(exchange.latency_ms / 1000, purpose)
    metrics.LLM_CALLS.add(purpose, "error" if exchange.error else "answered")
    metrics.LLM_TOKENS.add("prompt", by=exchange.prompt_tokens)
    metrics.LLM_TOKENS.add("completion", by=exchange.completion_tokens)


def _cut(text: str) -> str:
    """Foreign words for a log line: redacted, on one line, not too many."""
    line = " ".join(redact_text(text[: MOST_SAID * 10]).split())
    return line if len(line) <= MOST_SAID else f"{line[:MOST_SAID]}…"


def _load() -> None:
    """Imports what asking needs: most of half a second at the first question, which the event loop has no time for."""
    import openai  # noqa: F401 - `sys.modules` keeps it


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
                    raise NotUsable(f"its answer is larger than {MOST_BYTES // 2**20} MiB")
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    encoding = response.headers.get("content-encoding", "identity")
    if encoding.casefold() != "identity":
        raise NotUsable(f"its answer came as {encoding}, although it was asked for as it is")
    response.stream = Bounded(response.stream)
