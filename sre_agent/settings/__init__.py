"""Every setting of the agent, from one table: its variable, default, what is allowed, and whether it is secret.

Loaded once by a front end; everybody else holds the frozen `Settings`. Protects two rules: nothing starts on a value
that nobody understood, and no secret is ever shown, neither by `sre-agent config` nor in an error nor in a repr.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from sre_agent import quantity
from sre_agent.errors import BadInput
from sre_agent.settings.kinds import Address, Link, PolicyRule
from sre_agent.settings.table import PREFIX, SETTINGS, Setting

__all__ = [
    "SETTINGS",
    "UNNAMED",
    "Address",
    "Link",
    "PolicyRule",
    "Setting",
    "SettingRow",
    "Settings",
    "UnknownVariable",
    "describe",
    "load",
]


UNNAMED = "unknown"
"""What a cluster is called where CLUSTER_NAME is not set."""

TOGETHER = {
    "SRE_AGENT_WEBHOOK_USER": "SRE_AGENT_WEBHOOK_PASSWORD",
    "SRE_AGENT_WEBHOOK_PASSWORD": "SRE_AGENT_WEBHOOK_USER",
    "SRE_AGENT_TLS_CERT": "SRE_AGENT_TLS_KEY",
    "SRE_AGENT_TLS_KEY": "SRE_AGENT_TLS_CERT",
}
"""Settings that mean nothing without the other one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownVariable:
    """A variable with our prefix that means nothing to us, and the known one that it resembles."""

    name: str
    nearest: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The effective settings; what each means stands in the table `SETTINGS`. Memory is in bytes."""

    database_url: str | None = field(repr=False)
    openai_api_key: str | None = field(repr=False)
    openai_base_url: str | None = field(repr=False)
    openai_model: str
    planner: str | None
    investigate: bool
    llm_timeout: timedelta
    llm_time_per_step: timedelta
    llm_time_per_run: timedelta
    llm_calls_per_run: int
    llm_tokens_per_run: int
    llm_tokens_per_day: int
    llm_cost_per_day: float | None
    llm_price_in: float | None
    llm_price_out: float | None
    llm_reasoning: str | None
    llm_ca: Path | None
    prompts_dir: Path | None
    hide_emails: bool
    agent_mode: str
    cluster_name: str | None
    log_level: str
    listen: Address
    webhook_user: str | None
    webhook_password: str | None = field(repr=False)
    webhook_token: str | None = field(repr=False)
    api_token: str | None = field(repr=False)
    viewer_token: str | None = field(repr=False)
    visitors: bool
    links: tuple[Link, ...]
    tls_cert: Path | None
    tls_key: Path | None
    concurrency: int
    data_dir: Path
    runbooks_dir: Path | None
    modes: tuple[PolicyRule, ...]
    approve_tools: tuple[str, ...]
    deny_namespaces: tuple[str, ...]
    allow_namespaces: tuple[str, ...]
    agent_namespace: str
    monitoring_namespace: str
    stop: bool
    alertmanager_url: str | None = field(repr=False)
    alertmanager_user: str | None
    alertmanager_token: str | None = field(repr=False)
    ignore_alerts: tuple[str, ...]
    helm: str
    settle: timedelta
    cordon_settle: timedelta
    node_ready_for: timedelta
    cooldown: timedelta
    action_window: timedelta
    actions_per_day: int
    alert_max_age: timedelta
    evidence_max_age: timedelta
    near_limit_pause: timedelta
    opposite_pause: timedelta
    writes_per_10m: int
    drain_pause: timedelta
    storm: int
    storm_window: timedelta
    nodes_not_ready: int
    api_errors: int
    health_floor: int
    min_nodes: int
    drain_strict: bool
    drain_timeout: timedelta
    memory_floor: int
    memory_cap: int
    evidence_bytes: int
    from_environment: frozenset[str] = frozenset()
    unknown: tuple[UnknownVariable, ...] = ()

    @property
    def has_model(self) -> bool:
        """Whether a language model is set up: a key, or a server that may need none."""
        return self.openai_api_key is not None or self.openai_base_url is not None

    @property
    def asks_model(self) -> bool:
        """Whether a language model is asked: where one is set up, unless the settings say `scripted`."""
        return self.has_model and self.planner != "scripted"

    @property
    def planner_name(self) -> str:
        """Who proposes tool calls, as it is shown: the model's name, or `scripted`."""
        return self.openai_model if self.asks_model else "scripted"

    @property
    def cluster(self) -> str:
        """The cluster's name as it is stored and shown."""
        return self.cluster_name or UNNAMED


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingRow:
    """One line of `sre-agent config`. `name` is the variable, `value` safe to print, empty where there is none."""

    name: str
    value: str
    origin: Literal["default", "environment"]
    description: str


def load(environ: Mapping[str, str]) -> Settings:
    """The settings of an environment. An empty value counts as unset; space around a value is cut off.

    Raises BadInput naming every bad variable at once, with its value (masked where secret) and what is allowed.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    given = {row.variable: text for row in SETTINGS if (text := environ.get(row.variable, "").strip())}
    for row in SETTINGS:
        chosen = given.get(row.variable, row.default)
        try:
            values[row.name] = row.unset if chosen is None else row.kind.parse(chosen)
        except ValueError as error:
            problems.append(_problem(row, chosen or "", str(error)))
    if not problems and values["memory_floor"] > values["memory_cap"]:
        floor, cap = (quantity.format_bytes(values[name]) for name in ("memory_floor", "memory_cap"))
        problems.append(f"SRE_AGENT_MEMORY_FLOOR={floor}: allowed is at most SRE_AGENT_MEMORY_CAP, here {cap}")
    problems += [
        f"{_shown(row, given[row.variable])}: {missing} is not set, and they go together"
        for row in SETTINGS
        if row.variable in given and (missing := TOGETHER.get(row.variable)) and missing not in given
    ]
    if problems:
        raise BadInput("\n".join(problems))
    values["data_dir"] = values["data_dir"] or _default_data_dir(environ)
    return Settings(**values, from_environment=frozenset(given), unknown=_unknown(environ))


def _problem(row: Setting, text: str, reason: str) -> str:
    """`reason` may hold parts of the value, so a secret's is left out."""
    detail = f"{reason}; " if reason and row.kind.says_why else ""
    return f"{_shown(row, text)}: {detail}allowed is {row.kind.allowed}"


def _shown(row: Setting, text: str) -> str:
    shown = text if row.kind.mask is None else row.kind.mask(text)
    return f"{row.variable}={shown!a}"


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """As the XDG base directory specification has it: a relative XDG_DATA_HOME is ignored."""
    xdg = Path(environ.get("XDG_DATA_HOME", ""))
    if xdg.is_absolute():
        return xdg / "sre-agent"
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    if not home.is_absolute():
        raise BadInput("SRE_AGENT_DATA_DIR: not set, and no home directory is known; set it to a directory")
    return home / ".local" / "share" / "sre-agent"


_INJECTED = re.compile(rf"{PREFIX}(?:TEST_\w+|SERVICE_(?:HOST|PORT)\w*|PORT(?:_\w+)?)")
"""Variables of the test suite, and those that Kubernetes sets in every pod for a Service named sre-agent."""


def _unknown(environ: Mapping[str, str]) -> tuple[UnknownVariable, ...]:
    known = [row.variable for row in SETTINGS]
    strangers = sorted(
        name for name in environ if name.startswith(PREFIX) and name not in known and not _INJECTED.fullmatch(name)
    )
    return tuple(
        UnknownVariable(name=name, nearest=next(iter(get_close_matches(name, known, n=1, cutoff=0.75)), None))
        for name in strangers
    )


def describe(settings: Settings) -> list[SettingRow]:
    """Every setting as a person may see it, in the order of the table."""
    return [_described(settings, row) for row in SETTINGS]


def _described(settings: Settings, row: Setting) -> SettingRow:
    value = settings.cluster if row.name == "cluster_name" else getattr(settings, row.name)
    text = "" if value is None else row.kind.write(value)
    return SettingRow(
        name=row.variable,
        value=row.kind.mask(text) if row.kind.mask is not None and text else text,
        origin="environment" if row.variable in settings.from_environment else "default",
        description=row.description,
    )
