"""Who may ask for what: credentials, roles, and browsers that another site sends.

Asked for every request before its body is read. Protects three rules: beyond loopback nothing but health is open;
the webhook's credentials open nothing else; and a page of another site cannot use a reader's browser as its hand.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from urllib.parse import urlsplit

from aiohttp import web

from sre_agent.errors import BadInput
from sre_agent.settings import Settings
from sre_agent.web.errors import Refused
from sre_agent.web.sessions import Session, begin, session_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of a page of this server, and of a person who typed the address."""


class Role(StrEnum):
    """What a credential was given out for."""

    ALERTMANAGER = "alertmanager"
    VIEWER = "viewer"
    OPERATOR = "operator"


class Need(Enum):
    """What a path asks for: the roles that open it, and the settings that give them out."""

    NOTHING = (frozenset[Role](), "")
    DELIVER = (
        frozenset({Role.ALERTMANAGER}),
        "SRE_AGENT_WEBHOOK_TOKEN, or SRE_AGENT_WEBHOOK_USER and SRE_AGENT_WEBHOOK_PASSWORD",
    )
    READ = (frozenset({Role.VIEWER, Role.OPERATOR}), "SRE_AGENT_VIEWER_TOKEN or SRE_AGENT_API_TOKEN")
    ACT = (frozenset({Role.OPERATOR}), "SRE_AGENT_API_TOKEN")

    @property
    def roles(self) -> frozenset[Role]:
        return self.value[0]

    @property
    def given_by(self) -> str:
        return self.value[1]

    @property
    def area(self) -> frozenset[Role]:
        """The roles of the same part of the server: once one of them has a credential, all of it asks for one."""
        return Need.READ.roles if self is Need.ACT else self.roles


PARTS = {"the webhook": Need.DELIVER, "the API": Need.READ}
"""Of a server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """The keys of this server: SHA-256 of each credential, with its role.

    `loopback`: it listens there alone. `closed`: what no credential was set for is shut rather than open.
    """

    keys: tuple[tuple[bytes, Role], ...]
    loopback: bool
    closed: bool
    visitors: bool = False
    """Whether reading the pages and the API needs no credential."""

    @classmethod
    def of(cls, settings: Settings, *, loopback: bool, insecure: bool) -> "Access":
        """The keys that the settings give out. `insecure`: a person said that open is meant.

        Raises BadInput for one that is given out twice: whoever has it for one thing could do the other.
        """
        keys = tuple(_keys(settings))
        shared = [role for key, role in keys if [each for each, _ in keys].count(key) > 1]
        if shared:
            raise BadInput(
                f"{' and '.join(_TOKENS[role] for role in shared)} are the same: give each a token of its own, because "
                "each opens something else"
            )
        return cls(keys=keys, loopback=loopback, closed=not loopback and not insecure, visitors=settings.visitors)

    def guards(self, need: Need) -> bool:
        """Whether a credential was set for what this needs."""
        return any(role in need.area for _, role in self.keys)

    def require_some_key(self) -> None:
        """Raises BadInput for a server beyond loopback that nobody could be let into."""
        if self.closed and not self.keys:
            raise BadInput(
                "listening beyond loopback needs credentials: set SRE_AGENT_WEBHOOK_TOKEN (or _USER and _PASSWORD) for "
                "Alertmanager and SRE_AGENT_API_TOKEN for people; or say --insecure, which leaves everything open"
            )

    def require_reader(self) -> None:
        """Raises BadInput for a process beyond loopback that only tells, where nobody could be told."""
        if not (self.guards(Need.READ) or self.opens_to_all(Need.READ)):
            raise BadInput(
                "listening beyond loopback needs a credential: set SRE_AGENT_VIEWER_TOKEN for Prometheus, or "
                "SRE_AGENT_API_TOKEN; or say --insecure, which leaves /metrics open"
            )

    def open_or_shut(self, parts: Mapping[str, Need] = PARTS) -> Iterator[str]:
        """What a person should know about the parts that no credential is set for."""
        for part, need in parts.items():
            if need is Need.READ and self.visitors and not self.loopback:
                yield f"{part} is read by everybody who can reach it: SRE_AGENT_VISITORS is on"
            elif self.closed and not self.guards(need):
                yield f"{part} is shut: set {need.given_by}"
            elif not self.loopback and not self.guards(need):
                yield f"{part} is open to everybody who can reach it: set {need.given_by}"

    def admit(self, authorization: str | None, need: Need, *, session: Session | None = None) -> None:
        """Returns for who may; raises Refused with 401, or 403 for a known credential of another role."""
        if self.opens_to_all(need):
            return
        if session is not None and authorization is None and need is not Need.DELIVER:
            self._require(self.roles_of(session), need)
            return
        if not self.guards(need):
            raise _unknown(f"this part of the server is shut: set {need.given_by}", need)
        if authorization is None:
            raise _unknown(f"give the credential that {need.given_by} says", need)
        presented = _presented(authorization)
        roles = {role for key, role in self.keys if hmac.compare_digest(presented, key)}  # all, so that time is silent
        if not roles:
            raise _unknown(f"the credential is not the one that {need.given_by} says", need)
        self._require(roles, need)

    def opens_to_all(self, need: Need) -> bool:
        """Whether nothing is asked of whoever needs this."""
        if need is Need.NOTHING or (need is Need.READ and self.visitors):
            return True
        return not (self.closed or self.guards(need))

    def _require(self, roles: set[Role], need: Need) -> None:
        if not roles & need.roles:
            raise Refused(403, f"a credential of the {' and '.join(sorted(roles))} does not open this: {need.given_by}")

    def session(self, cookie: str | None) -> Session | None:
        """The session of a browser's cookie, None where it has none that counts."""
        return session_of(cookie, (key for key, role in self.keys if role in Need.READ.roles))

    def roles_of(self, session: Session) -> set[Role]:
        """What a session may."""
        return {role for key, role in self.keys if key == session.key}

    def sign_in(self, token: str) -> str | None:
        """The cookie of a new session for a reader's or operator's token; None for anything else."""
        presented = _digest("bearer", token.strip().encode(errors="surrogateescape"))
        known = [key for key, role in self.keys if hmac.compare_digest(presented, key) and role in Need.READ.roles]
        return begin(known[0]) if known else None


def refuse_other_sites(request: web.Request, access: Access) -> None:
    """Refuses what a page of another site sends, by its own headers; on loopback another host name, too.

    A name that somebody else's DNS points at 127.0.0.1 makes that site's pages ours in a browser's eyes.
    """
    host = request.headers.get("Host", "")
    if access.loopback and not _is_loopback_name(host):
        raise Refused(403, f"this server listens on loopback and is not called {host or 'nothing'}: use localhost")
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site.lower() not in OWN_SITE:
        raise Refused(403, f"a page of another site sent this (Sec-Fetch-Site: {site})")
    origin = request.headers.get("Origin")
    if origin is not None and _place_of(origin) != host.lower():
        raise Refused(403, f"a page of another site sent this (Origin: {origin})")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's alone. A name that has to be looked up is not."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _is_loopback_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def _place_of(origin: str) -> str | None:
    """The host and port of an origin; None for `null` and for whatever is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in {"http", "https"} and parts.netloc else None


_TOKENS = {
    Role.ALERTMANAGER: "SRE_AGENT_WEBHOOK_TOKEN",
    Role.VIEWER: "SRE_AGENT_VIEWER_TOKEN",
    Role.OPERATOR: "SRE_AGENT_API_TOKEN",
}


def _keys(settings: Settings) -> Iterator[tuple[bytes, Role]]:
    if settings.webhook_user is not None:
        pair = f"{settings.webhook_user}:{settings.webhook_password}"
        yield _digest("basic", pair.encode()), Role.ALERTMANAGER
    for token, role in (
        (settings.webhook_token, Role.ALERTMANAGER),
        (settings.viewer_token, Role.VIEWER),
        (settings.api_token, Role.OPERATOR),
    ):
        if token is not None:
            yield _digest("bearer", token.encode()), role


def _presented(authorization: str) -> bytes:
    scheme, _, value = authorization.partition(" ")
    credential = value.strip().encode(errors="surrogateescape")
    if scheme.lower() == "basic":
        try:
            credential = base64.b64decode(credential, validate=True)
        except binascii.Error:
            credential = b""
    return _digest(scheme.lower(), credential)


def _digest(scheme: str, credential: bytes) -> bytes:
    """Digests are compared, so that not even the length of a credential shows."""
    return hashlib.sha256(scheme.encode(errors="surrogateescape") + b"\x00" + credential).digest()


def _unknown(message: str, need: Need) -> Refused:
    schemes = 'Bearer realm="sre-agent"'
    if need is Need.DELIVER:
        schemes = f'Basic realm="sre-agent", {schemes}'
    return Refused(401, message, headers={"WWW-Authenticate": schemes})
