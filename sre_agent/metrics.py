"""What this process has counted and timed since it started.

Counted where it happens (webhook, end of a run, requests to the cluster); shown by `web.exposition`, which alone knows
Prometheus. Every process counts its own, so that the sum over replicas is true. Where nobody asks it costs nothing.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper ends of the buckets of a timing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """How often something happened, by the values of its labels."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, *values: str, by: int = 1) -> None:
        """Counts; `values` belong to `labels`, in their order."""
        self.counts[values] = self.counts.get(values, 0) + by


@dataclass(kw_only=True, slots=True)
class Spread:
    """Timings of one kind: how many fell into each bucket (the last one has no end), and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long something took, by the values of its labels."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    spreads: dict[tuple[str, ...], Spread] = field(default_factory=dict)

    def observe(self, seconds: float, *values: str) -> None:
        """Takes one timing in; `values` belong to `labels`, in their order."""
        spread = self.spreads.setdefault(values, Spread())
        spread.buckets[bisect_left(SECONDS, seconds)] += 1
        spread.total += seconds


ALERTS = Counter(name="sre_agent_alerts_received", meaning="Alerts stored, by their status.", labels=("status",))
REJECTED = Counter(name="sre_agent_alerts_rejected", meaning="Alerts that could not be read, in payloads that could.")
TRUNCATED = Counter(name="sre_agent_alerts_truncated", meaning="Alerts that Alertmanager left out (truncatedAlerts).")
INCIDENTS = Counter(name="sre_agent_incidents_opened", meaning="Incidents opened.")
RUNS = Counter(name="sre_agent_runs", meaning="Runs that ended, by runbook and result.", labels=("runbook", "result"))
STEPS = Counter(name="sre_agent_steps", meaning="Steps of ended runs, by tool and result.", labels=("tool", "result"))
VERDICTS = Counter(name="sre_agent_verdicts", meaning="What rules had against a change.", labels=("rule", "verdict"))
CLUSTER = Timing(
    name="sre_agent_cluster_request_seconds", meaning="Requests to the Kubernetes API.", labels=("method", "answer")
)
HTTP = Timing(name="sre_agent_http_request_seconds", meaning="Requests to this server.", labels=("path",))
ANSWERS = Counter(
    name="sre_agent_http_requests",
    meaning="Requests to this server, by what was answered.",
    labels=("method", "path", "status"),
)
LLM_CALLS = Counter(
    name="sre_agent_llm_calls", meaning="Questions to the language model.", labels=("purpose", "result")
)
LLM_TOKENS = Counter(name="sre_agent_llm_tokens", meaning="Tokens of those questions and answers.", labels=("kind",))
LLM_SECONDS = Timing(
    name="sre_agent_llm_seconds", meaning="From a question to its answer or its failure.", labels=("purpose",)
)

COUNTERS: Sequence[Counter] = (
    ALERTS,
    REJECTED,
    TRUNCATED,
    INCIDENTS,
    RUNS,
    STEPS,
    VERDICTS,
    ANSWERS,
    LLM_CALLS,
    LLM_TOKENS,
)
TIMINGS: Sequence[Timing] = (CLUSTER, HTTP, LLM_SECONDS)
