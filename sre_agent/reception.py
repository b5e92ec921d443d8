"""Takes whole webhook bodies in: one commit keeps all that a body says and queues its runs.

Called by the webhook. Bodies that come while a commit is under way share the next one: a storm costs few commits.
It asks no cluster and no model: what it needs is in the labels.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sre_agent.alert import Alert, AlertStatus, Payload
from sre_agent.errors import Unreachable
from sre_agent.intake import STILL_FIRING, Admission, Sender, admitted, entry_for, ignored_by, outlived, problem_of
from sre_agent.redaction import redact, redact_text
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.store import Receipt, Store
from sre_agent.store.values import json_text
from sre_agent.store.webhooks import SealedBody, sealed, sealed_body

SHARED_ALERTS = 2_000
"""Bodies share a commit up to this many alerts: one that is larger has its own."""

PATIENCE_SECONDS = 30.0
"""How long a body waits for its commit: the largest one takes most of it, a store that is frozen takes for ever."""

IN_THREAD = 16_000
"""A body with more characters is prepared in a thread, so that nobody waits for it on the event loop."""

MANY_ALERTS = 200
"""What became of more alerts is put into words in a thread, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Arrival:
    """One body that waits for a commit. `left` says why an alert does nothing to the store, by its index."""

    alerts: tuple[Alert, ...]
    left: Mapping[int, str]
    body: SealedBody
    done: asyncio.Future[list[Admission]]


class Reception:
    """The door of one process. `runbooks` says which are current, `clock` what time it is."""

    def __init__(
        self,
        store: Store,
        *,
        sender: Sender,
        runbooks: Callable[[], Runbooks],
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._sender = sender
        self._runbooks = runbooks
        self._settings = settings
        self._clock = clock
        self._waiting: list[_Arrival] = []
        self._committing: asyncio.Task[None] | None = None

    async def accept(self, payload: Payload) -> list[Admission]:
        """Keeps a body, and returns after the commit what became of each of its alerts.

        Raises Unreachable when the store is away; nothing of the body is kept then. Where it does not answer, nobody
        knows: sent again, the same alerts join what they opened.
        """
        prepare = self._prepare
        if _characters(payload) > IN_THREAD:
            left, body = await asyncio.to_thread(prepare, payload)
        else:
            left, body = prepare(payload)
        arrival = _Arrival(alerts=payload.alerts, left=left, body=body, done=asyncio.get_running_loop().create_future())
        self._waiting.append(arrival)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all())
        await asyncio.wait({arrival.done}, timeout=PATIENCE_SECONDS)
        if not arrival.done.done():
            arrival.done.cancel()
            self._waiting = [other for other in self._waiting if other is not arrival]
            raise Unreachable(f"the database did not answer within {PATIENCE_SECONDS:g} s")
        return arrival.done.result()

    def _prepare(self, payload: Payload) -> tuple[Mapping[int, str], SealedBody]:
        """Alert by alert, so that what is redacted for one purpose is remembered for the next."""
        runbooks, settings, now = self._runbooks(), self._settings, self._clock()
        left: dict[int, str] = {}
        taken, texts, kept = [], [], []
        for alert in payload.alerts:
            kept.append(json_text(_kept_alert(alert)))
            if (reason := ignored_by(alert, settings)) is not None:
                left[alert.index] = reason
                continue
            entry = entry_for(alert, self._sender, runbooks, settings, now=now)
            taken.append((alert, problem_of(entry)))
            texts.append(sealed(entry))
        left |= dict.fromkeys(outlived(taken), STILL_FIRING)
        entries = [text for (alert, _), text in zip(taken, texts, strict=True) if alert.index not in left]
        body = sealed_body(entries, payload=_kept(payload), alerts=kept, truncated=payload.truncated_alerts)
        return left, body

    async def _commit_all(self) -> None:
        """Commits what waits until nothing does, each time as much as may share a commit."""
        while self._waiting:
            together = self._next()
            error = await _failure(self._commit(together))
            if error is not None and len(together) > 1 and not isinstance(error, Unreachable):
                for arrival in together:  # one of them is to blame: the others shall not pay for it
                    _settle([arrival], await _failure(self._commit([arrival])))
            else:
                _settle(together, error)

    def _next(self) -> list[_Arrival]:
        together: list[_Arrival] = []
        alerts = 0
        while self._waiting and (not together or alerts + self._waiting[0].body.alerts <= SHARED_ALERTS):
            alerts += self._waiting[0].body.alerts
            together.append(self._waiting.pop(0))
        return together

    async def _commit(self, together: Sequence[_Arrival]) -> None:
        answers = await self._store.webhooks.take_in(
            [arrival.body for arrival in together], now=self._clock(), cooldown=self._settings.cooldown
        )
        for arrival, answer in zip(together, answers, strict=True):
            if len(answer) > MANY_ALERTS:
                admissions = await asyncio.to_thread(self._admissions, arrival, answer)
            else:
                admissions = self._admissions(arrival, answer)
            if not arrival.done.done():
                arrival.done.set_result(admissions)

    def _admissions(self, arrival: _Arrival, answers: Sequence[Receipt | int | None]) -> list[Admission]:
        """What became of each alert of a body. `answers` are the store's, for those that are not left."""
        found = iter(answers)
        admissions = []
        for alert in arrival.alerts:
            reason = arrival.left.get(alert.index)
            answer = None if reason is not None else next(found)
            admissions.append(admitted(alert, reason, answer, self._settings))
        return admissions


def _characters(payload: Payload) -> int:
    """How much there is to look through."""
    texts = (text for alert in payload.alerts for held in (alert.labels, alert.annotations) for text in held.items())
    looked_through = sum(len(name) + len(value) for name, value in texts)
    looked_through += sum(len(alert.generator_url) + len(alert.fingerprint) for alert in payload.alerts)
    looked_through += sum(len(each.path) + len(each.reason) for each in payload.rejected)
    return looked_through + len(payload.receiver) + len(payload.external_url) + len(payload.group_key or "")


async def _failure(committing: Coroutine[Any, Any, None]) -> BaseException | None:
    """What went wrong, None where nothing did."""
    task = asyncio.ensure_future(committing)
    await asyncio.wait({task})
    return task.exception()


def _settle(arrivals: Sequence[_Arrival], error: BaseException | None) -> None:
    """Tells those that are still waiting why there is no answer."""
    for arrival in arrivals:
        if error is not None and not arrival.done.done():
            arrival.done.set_exception(error)


def _kept(payload: Payload) -> dict[str, Any]:
    """What is kept of a body beside its alerts: all that was understood of it, and the place of what was not."""
    return {
        "receiver": redact_text(payload.receiver),
        "externalURL": redact_text(payload.external_url),
        "groupKey": None if payload.group_key is None else redact_text(payload.group_key),
        "rejected": [
            {"index": each.index, "path": redact_text(each.path), "reason": redact_text(each.reason)}
            for each in payload.rejected
        ],
    }


def _kept_alert(alert: Alert) -> dict[str, Any]:
    return {
        "status": AlertStatus(alert.status).value,
        "labels": redact(alert.labels),
        "annotations": redact(alert.annotations),
        "startsAt": None if alert.starts_at is None else alert.starts_at.isoformat(),
        "endsAt": None if alert.ends_at is None else alert.ends_at.isoformat(),
        "generatorURL": redact_text(alert.generator_url),
        "fingerprint": redact_text(alert.fingerprint),
    }
