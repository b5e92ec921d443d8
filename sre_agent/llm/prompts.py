"""Prompts: files with a version, each with the places that code fills in.

Read once, when a process starts to use a model. A prompt is a Markdown file: the line `version: N`, then what the
system says below `# system`, then what the user says below `# user`. `${name}` is a place. A file of the same name in
the user's own directory replaces a shipped one.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from sre_agent.errors import BadInput
from sre_agent.llm.port import Message

SHIPPED = Path(__file__).parent / "prompts"

PLACES: Mapping[str, frozenset[str]] = {
    "step": frozenset({"tool", "purpose", "target", "alert", "earlier", "runbook"}),
    "correction": frozenset({"tool", "fault"}),
    "analysis": frozenset({"sections", "facts", "evidence", "draft"}),
    "analysis_correction": frozenset({"faults", "sections"}),
    "investigation": frozenset({"target", "alert", "earlier", "most"}),
    "investigation_correction": frozenset({"fault", "tools"}),
}
"""Every prompt and the places that it must have; it has no others."""

_FORM = re.compile(r"\Aversion: (?P<version>[0-9]+)\s*\n+# system\n(?P<system>.*?)\n# user\n(?P<user>.*)\Z", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One prompt. `identity` is what a trace says of it: name, version and the first digits of its SHA-256."""

    identity: str
    system: Template
    user: Template

    def messages(self, **places: str) -> tuple[Message, ...]:
        """The messages with every place filled in; without the system's where the prompt has none."""
        said = (("system", self.system), ("user", self.user))
        filled = [(role, template.substitute(places).strip()) for role, template in said]
        return tuple({"role": role, "content": content} for role, content in filled if content)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """All prompts, by name."""

    by_name: Mapping[str, Prompt]

    def __getitem__(self, name: str) -> Prompt:
        return self.by_name[name]


def load_prompts(users: Path | None = None) -> Prompts:
    """The shipped prompts, and the user's in their place. Raises BadInput with every fault of every file."""
    problems: list[str] = []
    by_name = {}
    if users is not None:
        problems += _strangers(users)
    for name, needed in PLACES.items():
        own = None if users is None else users / f"{name}.md"
        path = own if own is not None and own.is_file() else SHIPPED / f"{name}.md"
        faults, prompt = _read(path, name, needed)
        problems += faults
        if prompt is not None:
            by_name[name] = prompt
    if problems:
        raise BadInput("\n".join(problems))
    return Prompts(by_name=by_name)


def _strangers(users: Path) -> list[str]:
    if not users.is_dir():
        return [f"SRE_AGENT_PROMPTS_DIR={users}: there is no such directory"]
    known = ", ".join(f"{name}.md" for name in sorted(PLACES))
    found = (path.name for path in sorted(users.glob("*.md")) if path.stem not in PLACES)
    return [f"{users / name}: there is no prompt of this name; the prompts are {known}" for name in found]


def _read(path: Path, name: str, needed: Iterable[str]) -> tuple[list[str], Prompt | None]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path}: it cannot be read: {error}"], None
    form = _FORM.match(text)
    if form is None:
        return [f"{path}: it does not begin with `version: N`, then `# system`, then `# user`"], None
    system, user = Template(form["system"]), Template(form["user"])
    if not (system.is_valid() and user.is_valid()):
        return [f"{path}: a $ that begins no place is written $$"], None
    found, needed = {*system.get_identifiers(), *user.get_identifiers()}, set(needed)
    faults = [f"{path}: the place ${{{place}}} is missing" for place in sorted(needed - found)]
    faults += [f"{path}: nothing fills the place ${{{place}}}" for place in sorted(found - needed)]
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return faults, Prompt(identity=f"{name}/{form['version']}/{digest}", system=system, user=user)
