"""The table of settings: each with its variable, default, what is allowed and what it is for.

Read by `load` and `describe`, and by the page that documents the settings. A new setting is one row here and one
field of `Settings`.
"""

from dataclasses import dataclass
from typing import Any

from sre_agent.settings.kinds import (
    ADDRESS,
    BASE_URL,
    DATABASE,
    DIRECTORY,
    EFFORT,
    FILE,
    FLAG,
    HELM,
    KEY,
    LEVEL,
    LINKS,
    MEMORY,
    MODE,
    MONEY,
    NAMES,
    NAMESPACE,
    NAMESPACES,
    PLANNER,
    POLICY,
    SECRET,
    SIZE,
    TEXT,
    TIME,
    USER,
    Kind,
    number,
)

PREFIX = "SRE_AGENT_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One row of the table. `default` is written as a person would; without one, the value is `unset`."""

    name: str
    variable: str
    kind: Kind
    description: str
    default: str | None = None
    unset: Any = None


def _row(
    variable: str, kind: Kind, default: str | None, description: str, *, name: str = "", unset: Any = None
) -> Setting:
    field_name = name or variable.removeprefix(PREFIX).lower()
    return Setting(name=field_name, variable=variable, kind=kind, default=default, description=description, unset=unset)


SETTINGS: tuple[Setting, ...] = (
    _row("DATABASE_URL", DATABASE, None, "PostgreSQL; unset: an embedded one in the data directory"),
    _row("OPENAI_API_KEY", KEY, None, "key of the LLM; unset: the scripted planner"),
    _row("OPENAI_BASE_URL", BASE_URL, None, "OpenAI-compatible server; unset: OpenAI's own"),
    _row("OPENAI_MODEL", TEXT, "gpt-5.2", "model for tool calls and analyses"),
    _row("SRE_AGENT_PLANNER", PLANNER, None, "who proposes tool calls; unset: llm where a key or base URL is set"),
    _row("SRE_AGENT_INVESTIGATE", FLAG, "off", "on: the LLM looks into alerts that no runbook covers, read-only"),
    _row("SRE_AGENT_LLM_TIMEOUT", TIME, "60s", "how long one request to the LLM may take"),
    _row("SRE_AGENT_LLM_TIME_PER_STEP", TIME, "90s", "how long a step waits for the LLM, retries included"),
    _row("SRE_AGENT_LLM_TIME_PER_RUN", TIME, "10m", "how long a run may ask the LLM"),
    _row("SRE_AGENT_LLM_CALLS_PER_RUN", number(1, 1000), "25", "questions to the LLM in one run"),
    _row("SRE_AGENT_LLM_TOKENS_PER_RUN", number(1, 100_000_000), "100000", "tokens of one run"),
    _row("SRE_AGENT_LLM_TOKENS_PER_DAY", number(1, 999_999_999), "5000000", "tokens of a day (UTC), all replicas"),
    _row("SRE_AGENT_LLM_COST_PER_DAY", MONEY, None, "cost of a day, all replicas, where the prices are set"),
    _row("SRE_AGENT_LLM_PRICE_IN", MONEY, None, "price of a million prompt tokens"),
    _row("SRE_AGENT_LLM_PRICE_OUT", MONEY, None, "price of a million tokens of answers"),
    _row("SRE_AGENT_LLM_REASONING", EFFORT, None, "reasoning effort to ask the model for"),
    _row("SRE_AGENT_LLM_CA", FILE, None, "PEM certificates by which the LLM's server is known"),
    _row("SRE_AGENT_PROMPTS_DIR", DIRECTORY, None, "your own prompts, in place of shipped ones of the same name"),
    _row("SRE_AGENT_HIDE_EMAILS", FLAG, "off", "on: e-mail addresses are hidden from the LLM"),
    _row("AGENT_MODE", MODE, "recommend", "recommend never writes, auto writes what every guard allows"),
    _row("CLUSTER_NAME", TEXT, None, "this cluster's name; alerts that name another one are not acted on"),
    _row("LOG_LEVEL", LEVEL, "INFO", "least level that is logged"),
    _row("SRE_AGENT_LISTEN", ADDRESS, "127.0.0.1:8080", "where `sre-agent serve` listens"),
    _row("SRE_AGENT_WEBHOOK_USER", USER, None, "user name that Alertmanager must give (basic_auth)"),
    _row("SRE_AGENT_WEBHOOK_PASSWORD", SECRET, None, "the password with it"),
    _row("SRE_AGENT_WEBHOOK_TOKEN", SECRET, None, "bearer token that Alertmanager must give instead"),
    _row("SRE_AGENT_API_TOKEN", SECRET, None, "bearer token of operators: the API, to read and to act"),
    _row("SRE_AGENT_VIEWER_TOKEN", SECRET, None, "bearer token of viewers: the API and /metrics, to read only"),
    _row("SRE_AGENT_VISITORS", FLAG, "off", "on: pages and API can be read without signing in"),
    _row("SRE_AGENT_LINKS", LINKS, None, "links of an incident's page to Grafana, Loki and others", unset=()),
    _row("SRE_AGENT_TLS_CERT", FILE, None, "PEM certificate chain: the server speaks HTTPS"),
    _row("SRE_AGENT_TLS_KEY", FILE, None, "PEM key of that certificate"),
    _row("SRE_AGENT_CONCURRENCY", number(1, 100), "4", "runs at a time in one process"),
    _row("SRE_AGENT_DATA_DIR", DIRECTORY, None, "where the embedded PostgreSQL lives"),
    _row("SRE_AGENT_RUNBOOKS_DIR", DIRECTORY, None, "your own runbooks, beside the shipped ones"),
    _row("SRE_AGENT_MODES", POLICY, None, "narrows the mode by namespace and runbook", unset=()),
    _row("SRE_AGENT_APPROVE_TOOLS", NAMES, None, "tools whose changes a person must approve", unset=()),
    _row("SRE_AGENT_DENY_NAMESPACES", NAMESPACES, None, "workloads there are never changed; kube-* always", unset=()),
    _row("SRE_AGENT_ALLOW_NAMESPACES", NAMESPACES, None, "unset: wherever it is not denied", unset=()),
    _row("SRE_AGENT_NAMESPACE", NAMESPACE, "agentic", "the agent's own, denied", name="agent_namespace"),
    _row("SRE_AGENT_MONITORING_NAMESPACE", NAMESPACE, "observability", "monitoring's, denied"),
    _row("SRE_AGENT_STOP", FLAG, "off", "kill switch: on refuses every change"),
    _row("SRE_AGENT_ALERTMANAGER_URL", BASE_URL, None, "asked before a change whether the alert is still active"),
    _row("SRE_AGENT_ALERTMANAGER_USER", USER, None, "whom Alertmanager knows (basic authentication)"),
    _row("SRE_AGENT_ALERTMANAGER_TOKEN", KEY, None, "that user's password; without a user, a bearer token"),
    _row("SRE_AGENT_IGNORE_ALERTS", NAMES, "Watchdog,InfoInhibitor", "alerts that open no incident"),
    _row("SRE_AGENT_HELM", HELM, "act", "what to do about objects that Helm installed"),
    _row("SRE_AGENT_SETTLE", TIME, "10m", "how long a freshly changed template is left alone"),
    _row("SRE_AGENT_CORDON_SETTLE", TIME, "60m", "how long somebody else's cordon is left alone"),
    _row("SRE_AGENT_NODE_READY_FOR", TIME, "5m", "how long a node is Ready before it is uncordoned"),
    _row("SRE_AGENT_COOLDOWN", TIME, "30m", "pause between equal actions on one target"),
    _row("SRE_AGENT_ACTION_WINDOW", TIME, "24h", "window in which equal actions on one target count"),
    _row("SRE_AGENT_ACTIONS_PER_DAY", number(1, 100), "2", "how many of them that window allows"),
    _row("SRE_AGENT_ALERT_MAX_AGE", TIME, "24h", "an alert that began earlier needs approval"),
    _row("SRE_AGENT_EVIDENCE_MAX_AGE", TIME, "60s", "how old evidence may be at a write"),
    _row("SRE_AGENT_NEAR_LIMIT_PAUSE", TIME, "7d", "pause between raises of a limit without a kill"),
    _row("SRE_AGENT_OPPOSITE_PAUSE", TIME, "24h", "how long a node action is not turned round"),
    _row("SRE_AGENT_WRITES_PER_10M", number(1, 1000), "5", "changes within 10 minutes; a drain is one"),
    _row("SRE_AGENT_DRAIN_PAUSE", TIME, "10m", "pause between two drains"),
    _row("SRE_AGENT_STORM", number(1, 100_000), "20", "more new incidents in the window are a storm: no change"),
    _row("SRE_AGENT_STORM_WINDOW", TIME, "5m", "that window, and how long it must be calm afterwards"),
    _row("SRE_AGENT_NODES_NOT_READY", number(1, 100), "50", "percent; with more nodes not Ready, no change"),
    _row("SRE_AGENT_API_ERRORS", number(1, 100), "20", "percent; with more failing API requests, no change"),
    _row("SRE_AGENT_HEALTH_FLOOR", number(1, 100), "51", "percent of nodes that stay Ready, schedulable"),
    _row("SRE_AGENT_MIN_NODES", number(1, 100_000), "3", "with fewer nodes, cordon and drain need approval"),
    _row("SRE_AGENT_DRAIN_STRICT", FLAG, "off", "on: a drain is all or nothing, as `kubectl drain` without flags"),
    _row("SRE_AGENT_DRAIN_TIMEOUT", TIME, "5m", "how long a drain waits for budgets and for pods to go"),
    _row("SRE_AGENT_MEMORY_FLOOR", MEMORY, "256Mi", "a smaller memory limit is raised to this"),
    _row("SRE_AGENT_MEMORY_CAP", MEMORY, "4Gi", "no memory limit is raised above this"),
    _row("SRE_AGENT_EVIDENCE_BYTES", SIZE, "2Mi", "most that is kept of what one run read, compressed"),
)
