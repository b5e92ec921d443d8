"""Takes secrets and hidden characters out of what is stored, logged, shown or sent to a model.

Called by the store, `views`, `log` and the planner on everything that comes from outside. Protects two rules: a
secret that was seen once is nowhere kept, and no text can steer a terminal or hide words from a reader.

A secret becomes `[redacted:KIND:4hex]`; the digits are 16 bits of a keyed hash, so that two values can be told apart.
The key is a constant of the package: a placeholder must be the same in every process, because identities (dedup keys,
fingerprints) are made from redacted text, and 16 bits that thousands of values share tell nothing about the one.
Redacting twice changes nothing. Every expression here is
linear in the text: what follows a match's start is consumed whole, or bounded. A kind must not itself look like the
name of a secret.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_KEY = b"sre-agent placeholders"
_PLACEHOLDER = re.compile(r"\[redacted:[a-z-]+:[0-9a-f]{4}\]")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def redact(value: Any) -> Any:
    """A copy of a JSON value without secrets: every string redacted, the keys of mappings too.

    Beside what `redact_text` finds, it knows Kubernetes objects: the values of a Secret (alone or in its list), of
    `env` entries, of keys and flags named like a secret; kubectl's last-applied annotation, which repeats all of
    them, is dropped.
    """
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return dict(_members(value))
    if isinstance(value, list | tuple):
        return list(_elements(value))
    return value


def _members(mapping: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    kind = mapping.get("kind")
    secret_value = isinstance(name := mapping.get("name"), str) and is_secret_name(name)
    for key, value in mapping.items():
        if key == _LAST_APPLIED:
            continue
        if isinstance(key, str) and isinstance(value, str) and not (secret_value and key == "value"):
            yield _member(key, value)
            continue
        shown = redact_text(key) if isinstance(key, str) else key
        if kind == "Secret" and key in {"data", "stringData"} and isinstance(value, Mapping):
            yield key, {item: _hidden("secret-data", held) for item, held in value.items()}
        elif kind == "SecretList" and key == "items" and isinstance(value, list | tuple):
            yield key, [_secret(entry) for entry in value]
        elif key == "env" and isinstance(value, list | tuple):
            yield key, [_environment_entry(entry) for entry in value]
        elif isinstance(value, str) and (key == "value" or is_secret_name(str(key))):
            yield shown, _hidden("credential", value)
        else:
            yield shown, redact(value)


@lru_cache(maxsize=4096)
def _member(key: str, value: str) -> tuple[str, str]:
    """A name and its text. Remembered, since the labels of an alert are kept in several places."""
    hidden: str = _hidden("credential", value) if is_secret_name(key) else redact_text(value)
    return redact_text(key), hidden


def _secret(entry: Any) -> Any:
    """An item of a SecretList, which the list alone calls a Secret."""
    if not isinstance(entry, Mapping) or "kind" in entry:
        return redact(entry)
    hidden = redact({"kind": "Secret", **entry})
    return {key: value for key, value in hidden.items() if key != "kind"}


def _elements(values: Sequence[Any]) -> Iterator[Any]:
    """The elements of a list; after a flag such as `--password`, the next one is its value."""
    previous: Any = None
    for value in values:
        follows_flag = isinstance(previous, str) and previous.startswith("-") and is_secret_name(previous)
        yield _hidden("credential", value) if follows_flag else redact(value)
        previous = value


def _environment_entry(entry: Any) -> Any:
    """A container's variable; its value is hidden whatever its name, since nobody can know what it holds."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("value"), str):
        return redact(entry)
    return {**redact(entry), "value": _hidden("env", entry["value"])}


def _hidden(kind: str, value: Any) -> Any:
    """The placeholder for a value. Empty values and placeholders stay, and words where nothing but a name tells."""
    if not isinstance(value, str):
        return redact(value)
    if not value or _PLACEHOLDER.fullmatch(value) or (kind == "credential" and value.casefold() in _NO_SECRETS):
        return value
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=2).hexdigest()
    return f"[redacted:{kind}:{digest}]"


_NO_SECRETS = frozenset({"true", "false", "null", "none", "nil", "~", "<none>", "<nil>", "{}", "[]"})


_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")


def hide_emails(text: str) -> str:
    """The text with a placeholder for every e-mail address."""
    return _EMAIL.sub(lambda found: str(_hidden("email", found[0])), text)


@lru_cache(maxsize=4096)
def redact_text(text: str) -> str:
    """The text without control characters and without anything that looks like a secret.

    Remembered, since a run says the same names and reasons in its steps, its events and its end.
    """
    text = strip_control(text)
    found = _signs_in(text)
    if not found:
        return text
    for rule in _RULES:
        if not found.isdisjoint(rule.signs):
            text = rule.pattern.sub(rule.replace, text)
            found |= _signs_in(text)
    return text


_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*+(?:\x07|\x1b\\|\x9c)"  # OSC: titles, links
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*+(?:\x1b\\|\x9c)"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*+[0-~]"
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)


def strip_control(text: str) -> str:
    """The text without terminal escapes, control, bidirectional and invisible characters, but newline and tab.

    Half a surrogate pair goes too: it is no character and cannot be stored.
    """
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", _ESCAPE_SEQUENCE.sub("", text))


_SENSITIVE_NAME = (
    r"passw(?:or)?d|passphrase|[_-]pass|pwd|secret(?:[_-]?access)?(?:[_-]?key(?:[_-]?base)?)?|token"
    r"|(?:api|access|account|auth|encryption|private|signing|shared[_-]?access)[_-]?key"
    r"|client[_-]?key[_-]?data|x-amz-signature"
)
_SECRET_KEY = re.compile(rf"(?:{_SENSITIVE_NAME}|^auth|authorization|^(?:set-)?cookie)$", re.IGNORECASE)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret. Remembered, since the same labels and fields come again and again."""
    return _SECRET_KEY.search(name[-200:]) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    """What to look for and what to make of it. In every match stands one of `signs`, whatever its case.

    Signs are looked for first, all texts together costing less than a rule: hardly any text has one.
    """

    signs: frozenset[str]
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


def _rule(kind: str, pattern: str, *signs: str) -> _Rule:
    """Hides the group `secret` of every match."""

    def replace(match: re.Match[str]) -> str:
        start, end = (position - match.start() for position in match.span("secret"))
        return f"{match[0][:start]}{_hidden(kind, match['secret'])}{match[0][end:]}"

    return _Rule(signs=frozenset(signs), pattern=re.compile(pattern, re.ASCII), replace=replace)


_OF_A_SERVER = re.compile(
    r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|s?ftp|smtps?|nats|ldaps?)(?:\+\w+)?", re.I
)
"""Schemes whose addresses hold a password more often than a path with an `@`."""


def _hide_url_password(match: re.Match[str]) -> str:
    """Hides what stands between the first colon and the last `@`, however badly a password there is encoded."""
    scheme, _, rest = match[0].partition("://")
    user, colon, tail = rest.partition(":")
    password, at, host = tail.rpartition("@")
    if not (colon and at) or re.search(r"[/?#@\[]", user):
        return match[0]
    if re.match(r"[0-9]{1,5}[/?#]", tail) and not _OF_A_SERVER.fullmatch(scheme):
        return match[0]  # a port, and an @ somewhere in the path
    return f"{scheme}://{user}:{_hidden('url', password)}@{host}"


_ASSIGNMENT = re.compile(
    rf"""(?P<name>{_SENSITIVE_NAME})(?:\\*["'])?[ \t]*(?P<sign>:=|=>|=|:(?!:|//))[ \t]*"""
    r"""(?:(?P<quote>\\*["'])(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\\\n]))*+)"""
    # A bare value ends at a separator that another assignment follows; an object or a list is no value.
    r"""|(?!\{(?:\\*["'{\[]|\w{1,40}:|\})|\[(?:\\*["'{\[]|\])|[|>][-+0-9]{0,2}[ \t]*+(?:\n|\Z))"""
    r"""(?P<bare>[^\s"'&;,<>](?:[^\s"'&;,]|[&;,](?![\s"']|[\w.-]{1,40}[=:]|$))*+))""",
    re.IGNORECASE | re.ASCII,
)


def _hide_assigned(match: re.Match[str]) -> str:
    value = match["quoted"] if match["quote"] else match["bare"]
    if match["name"].casefold() == "pwd" and value.startswith("/"):
        return match[0]  # the shell's working directory
    if _PLACEHOLDER.match(value) or _is_prose(match):
        return match[0]
    tail = match.end("quoted" if match["quote"] else "bare") - match.start()
    return f"{match[0][: tail - len(value)]}{_hidden('credential', value)}{match[0][tail:]}"


def _is_prose(match: re.Match[str]) -> bool:
    """`failed to fetch token: serviceaccounts not found`: a plain word after a colon, and more words after it."""
    if match["quote"] or match["sign"] != ":" or match["name"].casefold() not in {"token", "secret"}:
        return False
    return re.fullmatch("[a-z]+", match["bare"]) is not None and match.string[match.end() :][:1] == " "


_KEY_FORMATS = "|".join(
    (
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
        r"AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}",  # Google
        r"[\w~.-]{3}8Q~[\w~.-]{31,34}",  # Azure
        r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{22,}|glpat-[\w-]{20,}",  # GitHub, GitLab
        r"xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}",  # Slack
        # OpenAI and others; a pod may be called sk-learn-7c6f4866fc-rclv2
        r"sk-(?:proj|test|live|ant|svcacct|admin|or)-[\w-]{12,}",
        r"sk-(?=[a-z0-9-]{0,200}?[A-Z_])[\w-]{16,}|sk-[a-z0-9]{20,}(?![\w-])",
        r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
        r"hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|hvs\.[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}",
    )
)
_KEY_SIGNS = (
    *("akia", "asia", "abia", "acca", "aiza", "ya29.", "gocspx-", "8q~", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    *("github_pat_", "glpat-", "xox", "xapp-", "sk-", "k_live_", "k_test_", "hf_", "npm_", "hvs.", "sg."),
)

_KNOWN_SCHEME = r"(?i:bearer|basic|token|negotiate|apikey)"
_HEADER = r"""(?i:authorization)(?:\\*["'])?[ \t]*[:=][ \t]*(?:\\*["'])?"""
_NAME_SIGNS = ("pass", "pwd", "secret", "token", "key", "x-amz-signature")
# The widest come first: a value that only holds a key somewhere is then hidden as a whole.
_RULES: tuple[_Rule, ...] = (
    _rule(
        "pem",
        r"(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[^-]|-(?!----))*+(?:-----END [A-Z0-9 ]{0,60}-----)?)",
        "-----begin ",
    ),
    _rule(  # the end of a log may begin within a key
        "pem",
        r"\A(?P<secret>(?:[A-Za-z0-9+/=]{1,80}\r?\n)++)-----END [A-Z0-9 ]{0,40}PRIVATE KEY",
        "-----end ",
    ),
    _rule("header", rf"""{_HEADER}{_KNOWN_SCHEME}[ \t]+(?P<secret>[^\s"'\\,;]+)""", "authorization"),
    _rule("header", rf"""{_HEADER}(?!{_KNOWN_SCHEME}\b)(?P<secret>[^\s"'\\][^"'\\\n]*)""", "authorization"),
    _rule("header", r"""\b(?i:(?:set-)?cookie):[ \t]*(?P<secret>[^\s"'\\][^"'\\\n]*)""", "cookie:"),
    _rule(
        "header",
        r"\b(?i:bearer)[ \t]+(?P<secret>(?=[\w.~+/=-]{0,400}?[0-9])[\w.~+/=-]{8,}|[\w.~+/=-]{20,})",
        "bearer",
    ),
    _rule(
        "header",
        r"\b(?i:basic)[ \t]+(?P<secret>(?=[A-Za-z0-9+/]{1,400}?[A-Z0-9=])[A-Za-z0-9+/]{8,}={0,2})",
        "basic",
    ),
    _Rule(
        signs=frozenset({"://"}),
        pattern=re.compile(r"""(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]++://[^\s"'<>`]++"""),
        replace=_hide_url_password,
    ),
    _rule("credential", r"[?&]sig=(?P<secret>[\w%+/=-]{10,})", "sig="),
    _rule("credential", r"""["']auth\\*["'][ \t]*:[ \t]*\\*["'](?P<secret>[A-Za-z0-9+/]{8,}={0,2})""", "auth"),
    _rule("credential", rf"(?<![\w-])--[\w-]{{0,60}}?(?i:{_SENSITIVE_NAME})[ \t]+(?P<secret>[^\s-]\S*)", "--"),
    _rule(
        "credential",
        rf"(?i:{_SENSITIVE_NAME}):[ \t]*[|>][-+0-9]{{0,2}}[ \t]*\n(?P<secret>[ \t]++[^\n]++(?:\n[ \t]++[^\n]++)*+)",
        *_NAME_SIGNS,
    ),
    _rule(
        "credential",
        rf"<[\w.:-]{{0,60}}?(?i:{_SENSITIVE_NAME})(?:\s[^<>]{{0,200}})?>\s*+(?P<secret>[^<]++)</",
        *_NAME_SIGNS,
    ),
    _Rule(signs=frozenset(_NAME_SIGNS), pattern=_ASSIGNMENT, replace=_hide_assigned),
    _rule("jwt", r"(?<![\w-])(?P<secret>eyJ[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+){1,4})", "eyj"),
    _rule("key", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[\w/]{10,})", "hooks.slack.com/"),
    _rule("key", rf"(?<![\w-])(?P<secret>{_KEY_FORMATS})", *_KEY_SIGNS),
)
_SIGNS = tuple(frozenset[str]().union(*(rule.signs for rule in _RULES)))


def _signs_in(text: str) -> set[str]:
    lower = text.lower()
    return {sign for sign in _SIGNS if sign in lower}
