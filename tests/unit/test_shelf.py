"""Runbooks that change while a server runs: a good set takes the old one's place, a bad one leaves it there."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from sre_agent import shelf as shelf_module
from sre_agent.agent import open_shelf
from sre_agent.errors import BadInput
from sre_agent.lint import MAX_BYTES
from sre_agent.settings import load
from sre_agent.shelf import RunbookShelf

START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


class Ticking:
    """A minute later each time it is read; `again` is set from the second time on."""

    def __init__(self) -> None:
        self.now = START - timedelta(minutes=1)
        self.again = asyncio.Event()

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        if self.now > START:
            self.again.set()
        return self.now


def opened(directory: Path | None, clock: Ticking | None = None) -> RunbookShelf:
    environment = {"HOME": "/", **({"SRE_AGENT_RUNBOOKS_DIR": str(directory)} if directory else {})}
    return open_shelf(load(environment), clock or Ticking())


def runbook(
    runbook_id: str = "RB_MINE", *, title: str = "Mine", alert: str = "MyAlert", tool: str = "check_oom"
) -> str:
    return f"---\nid: {runbook_id}\ntitle: {title}\nalerts: [{alert}]\nworkflow:\n- step: {tool}\n---\nProse.\n"


BAD = runbook(tool="chek_oom")


def mount(directory: Path, files: dict[str, str]) -> None:
    """What a kubelet does with a ConfigMap: a new directory, and one rename of the link that leads to it."""
    content = directory / f"..{uuid4().hex}"
    content.mkdir(parents=True)
    for name, text in files.items():
        (content / name).write_text(text)
    (directory / "..data_tmp").symlink_to(content.name)
    (directory / "..data_tmp").replace(directory / "..data")
    for name in files:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    for entry in directory.iterdir():
        if entry.name not in files and not entry.name.startswith(".."):
            entry.unlink()


async def test_a_new_set_of_a_config_map_takes_the_old_ones_place(tmp_path: Path) -> None:
    mount(tmp_path, {"mine.md": runbook(title="First")})
    shelf = opened(tmp_path)
    before = shelf.current
    assert (before["RB_MINE"].title, shelf.loaded_at) == ("First", START)
    mount(tmp_path, {"mine.md": runbook(title="Second"), "other.md": runbook("RB_OTHER", alert="Other")})
    await shelf.look()
    assert shelf.current["RB_MINE"].title == "Second"
    assert "RB_OTHER" in shelf.current
    assert (shelf.fault, shelf.loaded_at) == (None, START + timedelta(minutes=1))
    assert before["RB_MINE"].title == "First"
    assert "RB_OTHER" not in before
    mount(tmp_path, {"mine.md": runbook(title="Second")})
    await shelf.look()
    assert "RB_OTHER" not in shelf.current


async def test_nothing_is_loaded_anew_where_nothing_changed(tmp_path: Path) -> None:
    mount(tmp_path, {"mine.md": runbook()})
    shelf = opened(tmp_path)
    before = shelf.current
    mount(tmp_path, {"mine.md": runbook()})
    await shelf.look()
    assert shelf.current is before
    assert shelf.loaded_at == START


async def test_one_bad_file_leaves_the_whole_old_set_and_is_said_until_it_is_mended(tmp_path: Path) -> None:
    mount(tmp_path, {"mine.md": runbook(title="First")})
    shelf = opened(tmp_path)
    before = shelf.current
    for _ in range(2):  # and a second bad set does not make the first one good
        mount(tmp_path, {"mine.md": BAD, "other.md": runbook("RB_OTHER", alert="Other")})
        await shelf.look()
        assert shelf.current is before
        assert shelf.fault is not None
        assert "mine.md:6:9" in shelf.fault
        assert "did you mean 'check_oom'?" in shelf.fault
    mount(tmp_path, {"mine.md": runbook(title="Third")})
    await shelf.look()
    assert (shelf.current["RB_MINE"].title, shelf.fault) == ("Third", None)


async def test_going_back_to_the_old_files_takes_the_fault_away(tmp_path: Path) -> None:
    mount(tmp_path, {"mine.md": runbook()})
    shelf = opened(tmp_path)
    mount(tmp_path, {"mine.md": BAD})
    await shelf.look()
    mount(tmp_path, {"mine.md": runbook()})
    await shelf.look()
    assert (shelf.fault, "RB_MINE" in shelf.current) == (None, True)


REPLACED = [
    pytest.param({"a.md": runbook(), "b.md": runbook()}, "is taken by", id="one id twice"),
    pytest.param({"a.md": runbook(alert="KubePodOOMKilled")}, "claimed by", id="an alert of a shipped one"),
    pytest.param({"notes.txt": "x"}, "holds no runbook", id="no runbook"),
    pytest.param(
        {"a.md": "\udcff".encode("utf-8", "surrogateescape").decode("latin1") + "---"}, "front matter", id="noise"
    ),
    pytest.param({"a.md": runbook() + "x" * MAX_BYTES}, "larger than 1 MiB", id="a huge file"),
    pytest.param({"a.md": ""}, "front matter is missing", id="an empty file"),
]


@pytest.mark.parametrize(("files", "said"), REPLACED)
async def test_a_set_with_a_fault_is_refused_at_the_start_and_later(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    mount(tmp_path / "bad", files)
    with pytest.raises(BadInput, match=said):
        opened(tmp_path / "bad")
    mount(tmp_path / "good", {"mine.md": runbook()})
    shelf = opened(tmp_path / "good")
    before = shelf.current
    mount(tmp_path / "good", files)
    await shelf.look()
    assert shelf.current is before
    assert said in (shelf.fault or "")


async def test_a_directory_that_goes_away_leaves_the_old_set(tmp_path: Path) -> None:
    directory = tmp_path / "runbooks"
    mount(directory, {"mine.md": runbook()})
    shelf = opened(directory)
    directory.rename(tmp_path / "elsewhere")
    await shelf.look()
    assert "RB_MINE" in shelf.current
    assert "no such directory" in (shelf.fault or "")
    (tmp_path / "elsewhere").rename(directory)
    await shelf.look()
    assert shelf.fault is None


async def test_names_that_are_no_files_are_faults_and_nobody_waits_for_them(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(runbook())
    shelf = opened(tmp_path)
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "dangling.md").symlink_to("nowhere")
    await asyncio.wait_for(shelf.look(), timeout=10)
    assert (shelf.fault or "").count("is not a file that can be read") == 2


async def test_a_change_of_equal_size_and_time_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_text(runbook(title="First"))
    shelf, stamp = opened(tmp_path), path.stat()
    path.write_text(runbook(title="Other"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    await shelf.look()
    assert shelf.current["RB_MINE"].title == "Other"


async def test_files_that_change_while_they_are_read_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(tmp_path, {"mine.md": runbook(title="First")})
    shelf = opened(tmp_path)
    really_load = shelf_module.lint.load

    def load_slowly(*arguments: object) -> object:
        loaded = really_load(*arguments)  # type: ignore[arg-type]
        mount(tmp_path, {"mine.md": runbook(title="Third")})
        return loaded

    mount(tmp_path, {"mine.md": runbook(title="Second")})
    with monkeypatch.context() as patch:
        patch.setattr(shelf_module.lint, "load", load_slowly)
        await shelf.look()
    assert shelf.current["RB_MINE"].title == "First"
    await shelf.look()
    assert shelf.current["RB_MINE"].title == "Third"


async def test_a_set_that_is_swapped_all_the_time_is_never_mixed(tmp_path: Path) -> None:
    sets = [
        {"a.md": runbook("RB_A", title=title, alert="A"), "b.md": runbook("RB_B", title=title, alert="B")}
        for title in ("First", "Second")
    ]
    mount(tmp_path, sets[0])
    shelf = opened(tmp_path)
    swapping = True

    def swap() -> None:
        turn = 0
        while swapping:
            mount(tmp_path, sets[turn % 2])
            turn += 1

    thread = asyncio.create_task(asyncio.to_thread(swap))
    seen = set()
    try:
        for _ in range(40):
            await shelf.look()
            seen.add((shelf.current["RB_A"].title, shelf.current["RB_B"].title))
    finally:
        swapping = False
        await thread
    await shelf.look()
    assert seen <= {("First", "First"), ("Second", "Second")}
    assert shelf.fault is None


async def test_a_server_that_watches_sees_the_change_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "LOOK_SECONDS", 0.01)
    mount(tmp_path, {"mine.md": runbook(title="First")})
    clock = Ticking()
    shelf = opened(tmp_path, clock)
    watching = asyncio.create_task(shelf.watch())
    try:
        mount(tmp_path, {"mine.md": runbook(title="Second")})
        await asyncio.wait_for(clock.again.wait(), timeout=30)
        assert (shelf.current["RB_MINE"].title, watching.done()) == ("Second", False)
    finally:
        watching.cancel()


async def test_without_a_directory_of_ones_own_there_is_nothing_to_look_at() -> None:
    shelf = opened(None)
    before = shelf.current
    await shelf.look()
    assert shelf.current is before
    assert "RB_OOM" in before
