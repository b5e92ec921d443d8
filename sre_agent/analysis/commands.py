"""Commands in an analysis: which ones may stand there although nobody recorded them. Called by `checker`. Pure."""

import re
from collections.abc import Set

TYPED = re.compile(r"\b(?:kubectl|helm|docker|crictl|systemctl|sudo|ssh|curl|wget|rm|psql) +[\w-]+")
"""How a command begins."""

_READING = re.compile(
    r"kubectl(?: -n (?P<namespace>[\w.-]+))? (?:get|describe|logs|top|events|rollout (?:history|status))"
    r"(?P<rest>(?: +[\w./=:,-]+)*)"
)
_FLAG = re.compile(r"-[nlcowA]|--(?:previous|tail|since|sort-by|watch|all-namespaces|all-containers|revision)")
_KINDS = (
    "pod|po|node|no|deployment|deploy|statefulset|sts|daemonset|ds|replicaset|rs|job|event|ev|namespace|ns|"
    "resourcequota|quota|poddisruptionbudget|pdb|horizontalpodautoscaler|hpa|pvc|pv|service|svc"
)
_ORDINARY = re.compile(rf"(?:{_KINDS})s?|yaml|wide|json|name|\.lastTimestamp|\d+[smhd]?")
"""What may stand there without being in the facts: kinds of objects (never secrets), ways to print, amounts."""
_SECRET = re.compile("secret", re.IGNORECASE)


def harmless(command: str, words: Set[str]) -> bool:
    """Whether it is a kubectl command that only reads, without pipes, other flags or secrets, about `words`."""
    found = _READING.fullmatch(command)
    if found is None:
        return False
    said = [word for part in found["rest"].split() for word in re.split("[/=:,]", part)]
    flags = [word for word in said if word.startswith("-")]
    names = [word for word in said if word and not word.startswith("-")] + [found["namespace"] or ""]
    return all(map(_FLAG.fullmatch, flags)) and all(
        not _SECRET.match(name) and (name in words or _ORDINARY.fullmatch(name)) for name in names if name
    )
