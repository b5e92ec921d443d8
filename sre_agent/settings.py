"""Every setting of the agent, from one table: its variable, default, what is allowed, and whether it is secret.

Loaded once by a front end; everybody else holds the frozen `Settings`. Protects two rules: nothing starts on a value
that nobody understood, and no secret is ever shown, neither by `sre-agent config` nor in an error nor in a repr.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

from sre_agent import quantity
from sre_agent.errors import BadInput
from sre_agent.times import duration_text

PREFIX = "SRE_AGENT_"
HIDDEN = "***"


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRule:
    """One entry of SRE_AGENT_MODES: fnmatch patterns of namespace and runbook id, and `recommend` or `auto`.

    `runbook_pattern` is None where the entry names none and so speaks of every runbook.
    """

    namespace_pattern: str
    runbook_pattern: str | None
    mode: str

    def __str__(self) -> str:
        runbook = "" if self.runbook_pattern is None else f"/{self.runbook_pattern}"
        return f"{self.namespace_pattern}{runbook}={self.mode}"


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
    openai_base_url: str | None
    openai_model: str
    agent_mode: str
    cluster_name: str | None
    log_level: str
    data_dir: Path
    runbooks_dir: Path | None
    modes: tuple[PolicyRule, ...]
    approve_tools: tuple[str, ...]
    deny_namespaces: tuple[str, ...]
    allow_namespaces: tuple[str, ...]
    agent_namespace: str
    monitoring_namespace: str
    stop: bool
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
    health_floor: int
    min_nodes: int
    drain_strict: bool
    memory_floor: int
    memory_cap: int
    from_environment: frozenset[str] = frozenset()
    unknown: tuple[UnknownVariable, ...] = ()

    @property
    def cluster(self) -> str:
        """The cluster's name as it is stored and shown."""
        return self.cluster_name or "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingRow:
    """One line of `sre-agent config`. `name` is the variable, `value` safe to print, empty where there is none."""

    name: str
    value: str
    origin: Literal["default", "environment"]
    masked: bool
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How one sort of value is read (ValueError: refused), written, and made safe to show.

    `parse(write(value)) == value`; `mask` takes the text as it was given. `says_why`: the error's text tells
    more than `allowed` does.
    """

    allowed: str
    parse: Callable[[str], Any]
    write: Callable[[Any], str] = str
    mask: Callable[[str], str] | None = None
    says_why: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One row of the table. `default` is written as a person would; without one, the value is `unset`."""

    name: str
    variable: str
    kind: Kind
    description: str
    default: str | None = None
    unset: Any = None


_DURATION = re.compile(r"0|(?=[0-9])(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_DURATION_ALLOWED = "a duration such as 90s, 10m, 24h, 7d or 1h30m, or 0 for off; at most 3650d"
_LONGEST = 3650 * 86400


def parse_duration(text: str) -> timedelta:
    """`90s`, `10m`, `24h`, `7d`, `1h30m`, or `0`. Raises ValueError, which says what is allowed."""
    match = _DURATION.fullmatch(text)
    if match is not None and len(text) <= 30:
        days, hours, minutes, seconds = (int(count or 0) for count in match.groups())
        total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if total <= _LONGEST:
            return timedelta(seconds=total)
    raise ValueError(f"{text[:40]!r} is not {_DURATION_ALLOWED}")


def _refuse(reason: str = "") -> NoReturn:
    """Refuses a value; the reason is said before what is allowed, where that alone does not tell enough."""
    raise ValueError(reason)


def _choice(*allowed: str) -> Kind:
    by_text = {value.casefold(): value for value in allowed}
    return Kind(allowed=" or ".join(allowed), parse=lambda text: by_text.get(text.casefold()) or _refuse())


def _number(least: int, most: int) -> Kind:
    def parse(text: str) -> int:
        fits = re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= most
        return int(text) if fits else _refuse()

    return Kind(allowed=f"a whole number from {least} to {most}", parse=parse)


def _matching(pattern: str, allowed: str, mask: Callable[[str], str] | None = None) -> Kind:
    return Kind(allowed=allowed, mask=mask, parse=lambda text: text if re.fullmatch(pattern, text) else _refuse())


def _list_of(entry: Callable[[str], Any], allowed: str) -> Kind:
    def parse(text: str) -> tuple[Any, ...]:
        entries = tuple(entry(part.strip()) for part in text.split(",") if part.strip())
        return entries or _refuse("it names nothing")

    return Kind(allowed=allowed, parse=parse, write=lambda entries: ",".join(map(str, entries)), says_why=True)


def _entry_matching(pattern: str) -> Callable[[str], str]:
    return lambda entry: entry if re.fullmatch(pattern, entry) else _refuse(f"the entry {entry!r} is wrong")


# A namespace in capitals would never match: it is refused, since a runbook id without its slash looks like that.
_NAMESPACE_PATTERN = r"[a-z0-9.*?\[\]!-]+"
_POLICY_RULE = re.compile(rf"({_NAMESPACE_PATTERN})(?:/([A-Z0-9_*?\[\]!-]+))?=(recommend|auto)")


def _policy_rule(entry: str) -> PolicyRule:
    match = _POLICY_RULE.fullmatch(entry)
    if match is None:
        _refuse(f"the entry {entry!r} is wrong")
    return PolicyRule(namespace_pattern=match[1], runbook_pattern=match[2], mode=match[3])


def _parse_memory(text: str) -> int:
    count = quantity.bytes_of(text)
    return count if 0 < count < 2**63 else _refuse()


def _parse_directory(text: str) -> Path:
    path = os.path.expanduser(text)
    return _refuse() if path.startswith("~") or "\x00" in path else Path(path)


def _parse_base_url(text: str) -> str:
    parts = urlsplit(text)
    usable = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    return text if usable else _refuse()


def _mask_url(text: str) -> str:
    """A URL or connection string without its passwords: in the user part, in the query, in `password=`.

    Masks too much rather than too little: all up to the last `@` of a URL counts as its password.
    """
    if re.match(r"[\w+.-]+://", text):
        text = re.sub(r"(?s)(://[^:@]*:).*@", rf"\1{HIDDEN}@", text)
        return re.sub(r"(?i)(password=)[^&]*", rf"\1{HIDDEN}", text)
    if "=" not in text:
        return HIDDEN
    return re.sub(r"(?is)(password\s*=\s*)(?:'(?:\\.|[^'\\])*'?|(?:\\.|\S)++)", rf"\1{HIDDEN}", text)


def _mask_key(text: str) -> str:
    if len(text) < 20:
        return "set"
    return f"{'sk-' if text.startswith('sk-') else ''}…{text[-4:]}"


_DATABASE = _matching(
    r"(?s)postgres(?:ql)?://.*|\w+\s*=.*",
    "a postgresql:// URL or a connection string such as host=db dbname=sre",
    _mask_url,
)
_KEY = _matching(r"[!-~]+", "a key of printable characters without spaces", _mask_key)
_BASE_URL = Kind(allowed="an http:// or https:// URL without user and password", parse=_parse_base_url, mask=_mask_url)
_MODE = _choice("recommend", "auto")
_HELM = _choice("act", "recommend")
_LEVEL = _choice("DEBUG", "INFO", "WARNING", "ERROR")
_TEXT = _matching(r"[^\x00-\x1f\x7f]+", "one line of text")
_NAMESPACE = _matching(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "the name of a namespace")
_NAMESPACES = _list_of(
    _entry_matching(_NAMESPACE_PATTERN), "a comma-separated list of namespaces or patterns such as staging-*"
)
_NAMES = _list_of(_entry_matching(r"[A-Za-z0-9_:.-]+"), "a comma-separated list of names")
_POLICY = _list_of(
    _policy_rule,
    "NAMESPACE=recommend|auto or NAMESPACE/RUNBOOK=recommend|auto, patterns allowed, separated by commas",
)
_DIRECTORY = Kind(allowed="a directory; ~ is the home directory", parse=_parse_directory)
_FLAGS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
_FLAG = Kind(
    allowed="on or off",
    parse=lambda text: _FLAGS[text.casefold()] if text.casefold() in _FLAGS else _refuse(),
    write=lambda value: "on" if value else "off",
)
_TIME = Kind(allowed=_DURATION_ALLOWED, parse=parse_duration, write=duration_text)
_MEMORY = Kind(allowed="a quantity of bytes such as 256Mi or 4Gi", parse=_parse_memory, write=quantity.format_bytes)


def _row(
    variable: str, kind: Kind, default: str | None, description: str, *, name: str = "", unset: Any = None
) -> Setting:
    field_name = name or variable.removeprefix(PREFIX).lower()
    return Setting(name=field_name, variable=variable, kind=kind, default=default, description=description, unset=unset)


SETTINGS: tuple[Setting, ...] = (
    _row("DATABASE_URL", _DATABASE, None, "PostgreSQL; unset: an embedded one in the data directory"),
    _row("OPENAI_API_KEY", _KEY, None, "key of the LLM; unset: the scripted planner"),
    _row("OPENAI_BASE_URL", _BASE_URL, None, "OpenAI-compatible server; unset: OpenAI's own"),
    _row("OPENAI_MODEL", _TEXT, "gpt-5.2", "model for tool calls and analyses"),
    _row("AGENT_MODE", _MODE, "recommend", "recommend never writes, auto writes what every guard allows"),
    _row("CLUSTER_NAME", _TEXT, None, "this cluster's name; alerts that name another one are not acted on"),
    _row("LOG_LEVEL", _LEVEL, "INFO", "least level that is logged"),
    _row("SRE_AGENT_DATA_DIR", _DIRECTORY, None, "where the embedded PostgreSQL lives"),
    _row("SRE_AGENT_RUNBOOKS_DIR", _DIRECTORY, None, "your own runbooks, beside the shipped ones"),
    _row("SRE_AGENT_MODES", _POLICY, None, "narrows the mode by namespace and runbook", unset=()),
    _row("SRE_AGENT_APPROVE_TOOLS", _NAMES, None, "tools whose changes a person must approve", unset=()),
    _row("SRE_AGENT_DENY_NAMESPACES", _NAMESPACES, None, "workloads there are never changed; kube-* always", unset=()),
    _row("SRE_AGENT_ALLOW_NAMESPACES", _NAMESPACES, None, "unset: wherever it is not denied", unset=()),
    _row("SRE_AGENT_NAMESPACE", _NAMESPACE, "agentic", "the agent's own, denied", name="agent_namespace"),
    _row("SRE_AGENT_MONITORING_NAMESPACE", _NAMESPACE, "observability", "monitoring's, denied"),
    _row("SRE_AGENT_STOP", _FLAG, "off", "kill switch: on refuses every change"),
    _row("SRE_AGENT_IGNORE_ALERTS", _NAMES, "Watchdog,InfoInhibitor", "alerts that open no incident"),
    _row("SRE_AGENT_HELM", _HELM, "act", "what to do about objects that Helm installed"),
    _row("SRE_AGENT_SETTLE", _TIME, "10m", "how long a freshly changed template is left alone"),
    _row("SRE_AGENT_CORDON_SETTLE", _TIME, "60m", "how long somebody else's cordon is left alone"),
    _row("SRE_AGENT_NODE_READY_FOR", _TIME, "5m", "how long a node is Ready before it is uncordoned"),
    _row("SRE_AGENT_COOLDOWN", _TIME, "30m", "pause between equal actions on one target"),
    _row("SRE_AGENT_ACTION_WINDOW", _TIME, "24h", "window in which equal actions on one target count"),
    _row("SRE_AGENT_ACTIONS_PER_DAY", _number(1, 100), "2", "how many of them that window allows"),
    _row("SRE_AGENT_ALERT_MAX_AGE", _TIME, "24h", "an alert that began earlier needs approval"),
    _row("SRE_AGENT_EVIDENCE_MAX_AGE", _TIME, "60s", "how old evidence may be at a write"),
    _row("SRE_AGENT_NEAR_LIMIT_PAUSE", _TIME, "7d", "pause between raises of a limit without a kill"),
    _row("SRE_AGENT_OPPOSITE_PAUSE", _TIME, "24h", "how long a node action is not turned round"),
    _row("SRE_AGENT_HEALTH_FLOOR", _number(1, 100), "51", "percent of nodes that stay Ready, schedulable"),
    _row("SRE_AGENT_MIN_NODES", _number(1, 100_000), "3", "with fewer nodes, cordon and drain need approval"),
    _row("SRE_AGENT_DRAIN_STRICT", _FLAG, "off", "on: a drain is all or nothing, as `kubectl drain` without flags"),
    _row("SRE_AGENT_MEMORY_FLOOR", _MEMORY, "256Mi", "a smaller memory limit is raised to this"),
    _row("SRE_AGENT_MEMORY_CAP", _MEMORY, "4Gi", "no memory limit is raised above this"),
)


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
    if problems:
        raise BadInput("\n".join(problems))
    values["data_dir"] = values["data_dir"] or _default_data_dir(environ)
    return Settings(**values, from_environment=frozenset(given), unknown=_unknown(environ))


def _problem(row: Setting, text: str, reason: str) -> str:
    """`reason` may hold parts of the value, so a secret's is left out."""
    shown = ascii(text) if row.kind.mask is None else ascii(row.kind.mask(text))
    detail = f"{reason}; " if reason and row.kind.says_why else ""
    return f"{row.variable}={shown}: {detail}allowed is {row.kind.allowed}"


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
    shown = row.kind.mask(text) if row.kind.mask is not None and text else text
    return SettingRow(
        name=row.variable,
        value=shown,
        origin="environment" if row.variable in settings.from_environment else "default",
        masked=shown != text,
        description=row.description,
    )
