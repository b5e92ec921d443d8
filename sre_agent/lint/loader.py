"""Sets of runbook files: linted by `sre-agent lint`, loaded by everything that runs one.

Protects the rule that nothing runs on a runbook with a fault: `load` refuses with the words that lint prints.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sre_agent.errors import BadInput
from sre_agent.lint.document import Document, read_document
from sre_agent.lint.fault import Fault, fault_at
from sre_agent.lint.front_matter import has_front_matter
from sre_agent.runbook import UNKNOWN_ID, AlertMatch, Runbooks
from sre_agent.tools.types import Tool


def lint_paths(paths: Sequence[Path], tools: Mapping[str, Tool]) -> list[Fault]:
    """Every fault, by file and line. Each directory is a set, the files named one by one are one together.

    Raises BadInput for a path that is not there and for a directory without a runbook.
    """
    files: dict[Path, Path] = {}
    directories: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            directories.setdefault(path.resolve(), path)
        elif path.exists():
            files.setdefault(path.resolve(), path)
        else:
            raise BadInput(f"{path}: no such file or directory")
    sets = [list(files.values()), *(runbook_files(directory) for directory in directories.values())]
    faults: set[Fault] = set()
    for members in sets:
        faults.update(_faults([read_document(path, tools) for path in members]))
    return sorted(faults)


def load(shipped: Path, users: Path | None, tools: Mapping[str, Tool]) -> Runbooks:
    """The shipped runbooks, with the user's in place of those of the same id, and beside the others.

    Raises BadInput with every fault, a line each, as lint prints them.
    """
    own = [] if users is None else [read_document(path, tools) for path in runbook_files(users)]
    given = [read_document(path, tools) for path in runbook_files(shipped)]
    replaced = {document.id for document in own if document.id is not None}
    kept = [document for document in given if document.id not in replaced]
    faults = sorted({*_faults(given), *_faults(own), *_faults([*kept, *own])})
    if faults:
        raise BadInput("\n".join(str(fault) for fault in faults))
    runbooks = [document.runbook for document in (*given, *own) if document.runbook is not None]
    by_id = {runbook.id: runbook for runbook in runbooks}
    if UNKNOWN_ID not in by_id:
        raise BadInput(f"{shipped}: no runbook has the id {UNKNOWN_ID}; it takes the alerts that no other one takes")
    return Runbooks(by_id=by_id)


def runbook_files(directory: Path) -> list[Path]:
    """The `*.md` files of a directory, by name; not those below it (a mounted ConfigMap keeps copies there),
    no hidden ones, and no README.md without front matter. Raises BadInput where there is none.
    """
    if not directory.is_dir():
        raise BadInput(f"{directory}: no such directory; give a directory of runbooks (*.md)")
    try:
        names = sorted(directory.iterdir())
    except OSError as error:
        raise BadInput(f"{directory}: cannot be read: {error.strerror}") from error
    files = [path for path in names if _is_runbook(path)]
    if not files:
        raise BadInput(f"{directory}: holds no runbook; runbooks are *.md files with front matter")
    return files


def _is_runbook(path: Path) -> bool:
    if path.suffix.lower() != ".md" or path.name.startswith(".") or path.is_dir():
        return False
    return path.stem.lower() != "readme" or has_front_matter(path)


def _faults(documents: Sequence[Document]) -> list[Fault]:
    """The faults of each file, and those that show only in the set."""
    return [
        *(fault for document in documents for fault in document.faults),
        *_shared_ids(documents),
        *_shared_alerts(documents),
    ]


def _shared_ids(documents: Sequence[Document]) -> Iterable[Fault]:
    first: dict[str, Document] = {}
    for document in documents:
        if document.id is None or document.id_place is None:
            continue
        other = first.setdefault(document.id, document)
        if other is not document:
            what = f"id {document.id} is taken by {other.id_place}"
            yield fault_at(document.id_place, what, "give one of the two another id")


def _shared_alerts(documents: Sequence[Document]) -> Iterable[Fault]:
    """The same name with the same labels twice; with other labels the more specific claim wins in routing."""
    first: dict[AlertMatch, tuple[str, str]] = {}
    for document in documents:
        for claim in document.claims:
            place = str(claim.place)
            owner, where = first.setdefault(claim.alert, (document.id or "a runbook", place))
            if where != place:
                what = f"alert {claim.alert} is claimed by {owner} at {where}"
                yield fault_at(claim.place, what, "claim it in one runbook, or add labels that tell the two apart")
