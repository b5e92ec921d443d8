"""The metrics as Prometheus reads them. The only importer of `prometheus_client`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sre_agent import __version__, metrics
from sre_agent.store.run_queue import QueueState

CONTENT_TYPE = CONTENT_TYPE_LATEST


def text(waiting: QueueState | None, *, runbooks_refused: bool) -> bytes:
    """All metrics of this process; `waiting` is None where the store is away."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(waiting, runbooks_refused=runbooks_refused))
    return generate_latest(registry)


class _Metrics(Collector):
    """What was counted, and what the store says."""

    def __init__(self, waiting: QueueState | None, *, runbooks_refused: bool) -> None:
        self._waiting = waiting
        self._runbooks_refused = runbooks_refused

    def collect(self) -> Iterator[Metric]:
        yield _gauge("sre_agent_info", "The version that runs.", 1, version=__version__)
        yield from map(_counter, metrics.COUNTERS)
        yield from map(_histogram, metrics.TIMINGS)
        meaning = "Whether the user's runbooks as they are now have a fault, so that older ones are used."
        yield _gauge("sre_agent_runbooks_refused", meaning, self._runbooks_refused)
        yield _gauge("sre_agent_database_up", "Whether the store answered this scrape.", self._waiting is not None)
        if self._waiting is not None:
            yield from _stored(self._waiting, datetime.now(UTC))


def _stored(waiting: QueueState, now: datetime) -> Iterator[Metric]:
    """What all replicas share: every one of them says the same, so ask for the maximum."""
    yield _gauge("sre_agent_runs_queued", "Runs that wait for a worker and may start.", waiting.queued)
    yield _gauge("sre_agent_runs_running", "Runs that a worker holds.", waiting.running)
    age = _seconds_since(waiting.oldest_queued_at, now)
    yield _gauge("sre_agent_oldest_queued_run_seconds", "How long the first of those that wait has waited.", age)
    age = _seconds_since(waiting.oldest_started_at, now)
    yield _gauge("sre_agent_oldest_running_run_seconds", "How long the longest run has been at work.", age)
    if waiting.last_webhook_at is not None:
        name = "sre_agent_last_alert_received_timestamp_seconds"
        yield _gauge(name, "When a webhook was stored last.", waiting.last_webhook_at.timestamp())


def _seconds_since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())


def _gauge(name: str, meaning: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(counter: metrics.Counter) -> Metric:
    """One without labels is there from the beginning, so that its first increase shows."""
    family = CounterMetricFamily(counter.name, counter.meaning, labels=counter.labels)
    counts = counter.counts or ({} if counter.labels else {(): 0})
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _histogram(timing: metrics.Timing) -> Metric:
    family = HistogramMetricFamily(timing.name, timing.meaning, labels=timing.labels)
    ends = [*map(str, metrics.SECONDS), "+Inf"]
    for values, spread in sorted(timing.spreads.items()):
        family.add_metric(values, list(zip(ends, accumulate(spread.buckets), strict=True)), sum_value=spread.total)
    return family
