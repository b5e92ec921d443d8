"""Sign-in for browsers: a cookie that stands for the token it was given for, and the word that its forms carry.

Asked by `access`. Nothing is stored: every replica with the same tokens knows every session, and a token that is
changed ends its sessions. Protects two rules: the cookie is no token, so that whoever reads it can be shut out; and
what a session writes carries a word that a page of another site cannot know.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

COOKIE = "sre_agent_session"
WORD = "csrf"
WORD_HEADER = "X-CSRF-Token"
"""The field of a form, and the header in which a script says the same."""

LIFE_SECONDS = 12 * 3600
"""A shift. Whoever works longer signs in again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What a valid cookie says: the digest of the credential that it stands for."""

    key: bytes
    cookie: str

    def word(self) -> str:
        """A word for a form; another one each time, so that a compressed page tells nobody what it is."""
        nonce = secrets.token_hex(8)
        return f"{nonce}.{self._mark(nonce)}"

    def knows(self, word: str) -> bool:
        """Whether a word was given out for this session."""
        nonce, _, mark = word.partition(".")
        return hmac.compare_digest(mark.encode(errors="replace"), self._mark(nonce).encode())

    def _mark(self, nonce: str) -> str:
        return _sign(self.key, "word", f"{self.cookie}.{nonce}")


def begin(key: bytes) -> str:
    """The cookie of a new session for a credential, named by its digest."""
    until = f"{int(time.time()) + LIFE_SECONDS}.{secrets.token_hex(8)}"
    return f"{until}.{_sign(key, 'session', until)}"


def session_of(cookie: str | None, keys: Iterable[bytes]) -> Session | None:
    """The session of a cookie; None where there is none, it is over, or it stands for no credential of today."""
    until, _, mark = (cookie or "").rpartition(".")
    ends, _, _ = until.partition(".")
    if not ends.isascii() or not ends.isdigit() or len(ends) > 12 or int(ends) <= time.time():
        return None
    for key in keys:
        if hmac.compare_digest(mark.encode(errors="replace"), _sign(key, "session", until).encode()):
            return Session(key=key, cookie=cookie or "")
    return None


def _sign(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"sre-agent {purpose} {text}".encode(errors="replace"), hashlib.sha256).hexdigest()
