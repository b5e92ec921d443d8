"""Why an image could not be pulled, read from the words of kubelet and container runtime.

Protects the one distinction that a change hangs on: only a name that is not there, or is no name, may be answered
with another image. Words that fit two causes count as the one that forbids a change.
"""

import re
from enum import StrEnum


class ImageCause(StrEnum):
    """Why a pull failed. Only not_found and invalid_name can be cured by another image."""

    NOT_FOUND = "not_found"
    INVALID_NAME = "invalid_name"
    UNAUTHORIZED = "unauthorized"
    REGISTRY_ERROR = "registry_error"
    NO_PLATFORM = "no_platform"
    UNKNOWN = "unknown"


_WORDS: tuple[tuple[ImageCause, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(words, re.IGNORECASE))
    for cause, words in (
        # containerd says "no match for platform in manifest: not found": the name is there.
        (
            ImageCause.NO_PLATFORM,
            r"no match(ing manifest)? for |does not match the specified platform|cannot be used on this platform",
        ),
        (
            ImageCause.INVALID_NAME,
            r"InvalidImageName|couldn't parse image (name|reference)|invalid reference format"
            r"|failed to apply default image tag",
        ),
        # A registry answers "denied" for what is secret and for what does not exist: only a person can tell.
        (
            ImageCause.UNAUTHORIZED,
            r"denied|unauthori[sz]ed|authori[sz]ation failed|insufficient_scope|no basic auth|may require"
            r"|authentication required|forbidden|credentials|status\b.{0,60}?\b40[13]\b",
        ),
        (
            ImageCause.REGISTRY_ERROR,
            r"toomanyrequests|too many requests|rate limit|\b429\b|time(d)? ?out|deadline exceeded|x509|tls:"
            r"|certificate|connection (refused|reset)|no such host|server misbehaving|dial tcp|\bEOF\b"
            r"|network is unreachable|no route to host|status\b.{0,60}?\b5\d\d\b|internal server error"
            r"|bad gateway|service unavailable|HTTP response to HTTPS|proxyconnect|RegistryUnavailable"
            # The auth service answers "not found" as well: that is its own address, not the image.
            r"|failed to authorize|fetch .{0,60}?token",
        ),
        # The runtime says "not found" of what it holds, or was half way through reading: the name was there.
        (
            ImageCause.UNKNOWN,
            r"failed to (extract|prepare|copy)|content (digest|store)|snapshot\b.{0,200}?does not exist",
        ),
        (
            ImageCause.NOT_FOUND,
            r"manifest unknown|\bnot found\b|\bNotFound\b|does not exist|name unknown|name not known|no such image",
        ),
    )
)

# What is quoted or holds a slash (a reference, an address) is made of names that others chose:
# `unauthorized-app:503` is not an answer of a registry.
_CHOSEN_NAMES = re.compile(r'"[^"]*"|\S*/\S*')
_NAMED_IMAGE = re.compile(
    r'(?:failed to (?:pull|inspect) image|pulling image|default image tag|container image) "([^"]+)"',
    re.IGNORECASE,
)


def cause_in(text: str, image: str) -> ImageCause | None:
    """The cause that a message tells about `image`; UNKNOWN where it tells one that no other image cures.

    None where it only says that the pull failed, and where it speaks of another image.
    """
    if image_in(text) not in {None, image}:
        return None
    words = _CHOSEN_NAMES.sub(" ", text)
    if ":" in image:
        words = words.replace(image, " ")
    return next((cause for cause, pattern in _WORDS if pattern.search(words)), None)


def image_in(text: str) -> str | None:
    """The image that a kubelet message names (`Failed to pull image "X": ...`), None where it names none.

    The runtime's own words behind it name the normalised reference (`docker.io/library/X`) and do not count.
    """
    named = _NAMED_IMAGE.search(text)
    return named[1] if named else None
