"""The sorts of values that a setting can have: how each is read, written, and made safe to show.

Used by the table of settings. Protects the rule that a value which nobody understood is refused with what is allowed,
and that no secret of any sort is shown.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from sre_agent import quantity
from sre_agent.objects import NAMESPACE_NAME
from sre_agent.redaction import is_secret_name, redact_text
from sre_agent.times import DURATION_FORM, duration_text, parse_duration

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
class Address:
    """Where a server listens: a host name or IP address (IPv6 without brackets), and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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


def _refuse(reason: str = "") -> NoReturn:
    """Refuses a value; the reason is said before what is allowed, where that alone does not tell enough."""
    raise ValueError(reason)


def _choice(*allowed: str) -> Kind:
    by_text = {value.casefold(): value for value in allowed}
    return Kind(allowed=" or ".join(allowed), parse=lambda text: by_text.get(text.casefold()) or _refuse())


def number(least: int, most: int) -> Kind:
    def parse(text: str) -> int:
        fits = re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= most
        return int(text) if fits else _refuse()

    return Kind(allowed=f"a whole number from {least} to {most}", parse=parse)


def _parse_money(text: str) -> float:
    return float(text) if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", text) else _refuse()


def _matching(pattern: str, allowed: str, mask: Callable[[str], str] | None = None) -> Kind:
    return Kind(allowed=allowed, mask=mask, parse=lambda text: text if re.fullmatch(pattern, text) else _refuse())


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link to another system: its name, and a URL with places such as `{namespace}`."""

    name: str
    url: str

    def __str__(self) -> str:
        return f"{self.name}={self.url}"


LINK_PLACES = ("alertname", "namespace", "pod", "container", "node", "workload", "from", "to")
"""What a link's URL may hold in braces; `from` and `to` are milliseconds since 1970."""


def _link(entry: str) -> Link:
    name, _, url = entry.partition("=")
    known = all(place in LINK_PLACES for place in re.findall(r"\{([^{}]*)\}", url))
    parts = urlsplit(url)
    if not name or parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or not known:
        _refuse(f"the entry {entry!r} is wrong")
    return Link(name=name, url=url)


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


def _parse_path(text: str) -> Path:
    path = os.path.expanduser(text)
    return _refuse() if path.startswith("~") or "\x00" in path else Path(path)


_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[A-Za-z0-9_.-]+)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 65535


def _parse_address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        _refuse()
    return Address(host=match["six"] or match["host"], port=int(match["port"]))


def _parse_base_url(text: str) -> str:
    parts = urlsplit(text)
    usable = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    return text if usable else _refuse()


def _mask_url(text: str) -> str:
    """A URL or connection string without its secrets: in the user part, in the query, in `password=`.

    Masks too much rather than too little: all up to the last `@` of a URL counts as its password.
    """
    if re.match(r"[\w+.-]+://", text):
        text = re.sub(r"(?s)(://[^:@]*:).*@", rf"\1{HIDDEN}@", text)
    elif "=" in text:
        text = re.sub(r"(?is)(password\s*=\s*)(?:'(?:\\.|[^'\\])*'?|(?:\\.|\S)++)", rf"\1{HIDDEN}", text)
    else:
        return HIDDEN
    return _QUERY_VALUE.sub(_masked_value, text)


_QUERY_VALUE = re.compile(r"(?s)(?<=[?&#])([^=?&#]*)=([^&]*)")
_SECRET_ENDINGS = ("key", "sig", "code", "auth")


def _masked_value(match: re.Match[str]) -> str:
    name, value = unquote(match[1]), match[2]
    told_by_name = is_secret_name(name) or name.casefold().endswith(_SECRET_ENDINGS)
    return f"{match[1]}={HIDDEN if told_by_name or redact_text(value) != value else value}"


def _mask_key(text: str) -> str:
    if len(text) < 20:
        return "set"
    return f"{'sk-' if text.startswith('sk-') else ''}…{text[-4:]}"


DATABASE = _matching(
    r"(?s)postgres(?:ql)?://.*|\w+\s*=.*",
    "a postgresql:// URL or a connection string such as host=db dbname=sre",
    _mask_url,
)
KEY = _matching(r"[!-~]+", "a key of printable characters without spaces", _mask_key)
SECRET = _matching(r"[!-~]+", "printable characters without spaces", lambda _: "set")
ADDRESS = Kind(allowed="HOST:PORT, such as 127.0.0.1:8080 or [::]:8080", parse=_parse_address)
BASE_URL = Kind(allowed="an http:// or https:// URL without user and password", parse=_parse_base_url, mask=_mask_url)
MODE = _choice("recommend", "auto")
HELM = _choice("act", "recommend")
LINKS = _list_of(_link, "a comma-separated list of NAME=URL; in the URL {" + "}, {".join(LINK_PLACES) + "}")
PLANNER = _choice("scripted", "llm")
EFFORT = _choice("minimal", "low", "medium", "high")
MONEY = Kind(allowed="an amount such as 1.25", parse=_parse_money, write="{:g}".format)
LEVEL = _choice("DEBUG", "INFO", "WARNING", "ERROR")
TEXT = _matching(r"[^\x00-\x1f\x7f]+", "one line of text")
USER = _matching(r"[^\x00-\x1f\x7f:]+", "a user name without a colon")
NAMESPACE = _matching(NAMESPACE_NAME.pattern, "the name of a namespace")
NAMESPACES = _list_of(
    _entry_matching(_NAMESPACE_PATTERN), "a comma-separated list of namespaces or patterns such as staging-*"
)
NAMES = _list_of(_entry_matching(r"[A-Za-z0-9_:.-]+"), "a comma-separated list of names")
POLICY = _list_of(
    _policy_rule,
    "NAMESPACE=recommend|auto or NAMESPACE/RUNBOOK=recommend|auto, patterns allowed, separated by commas",
)
DIRECTORY = Kind(allowed="a directory; ~ is the home directory", parse=_parse_path)
FILE = Kind(allowed="a file; ~ is the home directory", parse=_parse_path)
USER = _matching(r"[^\x00-\x1f\x7f:]+", "one line of text without a colon")
_FLAGS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
FLAG = Kind(
    allowed="on or off",
    parse=lambda text: _FLAGS[text.casefold()] if text.casefold() in _FLAGS else _refuse(),
    write=lambda value: "on" if value else "off",
)
TIME = Kind(allowed=DURATION_FORM, parse=parse_duration, write=duration_text)
SIZE = Kind(
    allowed="a quantity of bytes such as 2Mi, or 0 for none",
    parse=lambda text: 0 if text == "0" else _parse_memory(text),
    write=quantity.format_bytes,
)
MEMORY = Kind(allowed="a quantity of bytes such as 256Mi or 4Gi", parse=_parse_memory, write=quantity.format_bytes)
