"""Sets of runbooks: what a whole good file becomes, what collides, what users' files replace, and hostile bytes."""

from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sre_agent.errors import BadInput
from sre_agent.lint import Fault, lint_paths, load
from sre_agent.runbook import AlertMatch, Gate, GateReference, Runbook, Step, Verify, image_fault
from tests.unit.lint_cases import HEAD, STEPS, TOOLS, UNKNOWN, page

WHOLE = """---
id: RB_X9_
title: "Everything: a runbook may say"
alerts:
  - Plain
  - {name: Labelled, labels: {zone: b, app: a}}
fallback_image: "host:5000/team/img:1.0"
fallback_namespaces: [demo, a-1]
workflow:
  - step: check_oom
  - step: patch_image
    tool: fix_imagepullbackoff
    when: check_oom.oom_detected
    when_all: [check_oom.swap_detected]
    verify: {within: 1h, undo: false}
  - step: increase_memory_limit
    when_any:
      - check_oom.oom_detected
      - patch_image.changed
    unless: check_oom.swap_detected
    mode: recommend
    approval: required
    verify: {within: 1m30s, undo: true}
future_actions: [scale_out]
---

# Prose
"""
OOM = GateReference(step="check_oom", field="oom_detected")
SWAP = GateReference(step="check_oom", field="swap_detected")


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    directory = tmp_path / "shipped"
    directory.mkdir()
    (directory / "RB_UNKNOWN.md").write_text(UNKNOWN)
    (directory / "RB_OOM.md").write_text(page(HEAD + "alerts: [Oom]\n" + STEPS))
    return directory


@pytest.fixture
def users(tmp_path: Path) -> Path:
    directory = tmp_path / "users"
    directory.mkdir()
    return directory


def lines(faults: list[Fault], directory: Path) -> list[str]:
    return [str(fault).replace(f"{directory}/", "") for fault in faults]


def test_a_whole_runbook_becomes_frozen_values(shipped: Path) -> None:
    path = shipped / "RB_X.md"
    path.write_text(WHOLE)
    assert load(shipped, None, TOOLS)["RB_X9_"] == Runbook(
        id="RB_X9_",
        title="Everything: a runbook may say",
        alerts=(AlertMatch(name="Plain"), AlertMatch(name="Labelled", labels=(("app", "a"), ("zone", "b")))),
        fallback_image="host:5000/team/img:1.0",
        fallback_namespaces=("demo", "a-1"),
        workflow=(
            Step(name="check_oom", tool="check_oom", line=10),
            Step(
                name="patch_image",
                tool="fix_imagepullbackoff",
                gate=Gate(all_of=(OOM, SWAP)),
                verify=Verify(within=timedelta(hours=1), undo=False),
                line=11,
            ),
            Step(
                name="increase_memory_limit",
                tool="increase_memory_limit",
                gate=Gate(
                    any_of=(OOM, GateReference(step="patch_image", field="changed")),
                    none_of=(SWAP,),
                ),
                recommend_only=True,
                approval_required=True,
                verify=Verify(within=timedelta(seconds=90), undo=True),
                line=16,
            ),
        ),
        future_actions=("scale_out",),
        prose="# Prose",
        path=path,
        sha256=sha256(WHOLE.encode()).hexdigest(),
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(WHOLE.replace("\n", "\r\n").encode(), id="Windows line ends"),
        pytest.param(b"\xef\xbb\xbf" + WHOLE.encode(), id="a byte-order mark"),
        pytest.param(WHOLE.replace("---\n", "--- \n").encode(), id="a blank after the fence"),
        pytest.param(WHOLE.replace("[demo, a-1]", "[]").encode(), id="an empty list of namespaces"),
    ],
)
def test_what_an_editor_leaves_behind_is_no_fault(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "RB_X.md"
    path.write_bytes(content)
    assert lint_paths([path], TOOLS) == []


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_place_is_the_one_that_an_editor_shows(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "RB_X.md"
    path.write_bytes(("\ufeff" + page("id: RB_X\ntitle: é\nworkflow: {x}\n").replace("\n", line_end)).encode())
    (fault,) = lint_paths([path], TOOLS)
    assert (fault.line, fault.column) == (4, 11)


@pytest.mark.parametrize("workflow", ["", "workflow:\n", "workflow: []\n"])
def test_the_runbook_for_unknown_alerts_has_no_workflow(tmp_path: Path, workflow: str) -> None:
    path = tmp_path / "RB_UNKNOWN.md"
    path.write_text(page("id: RB_UNKNOWN\ntitle: Unknown\n" + workflow))
    assert lint_paths([path], TOOLS) == []


def test_a_workflow_for_unknown_alerts_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "RB_UNKNOWN.md"
    path.write_text(page("id: RB_UNKNOWN\ntitle: Unknown\n" + STEPS))
    assert lines(lint_paths([path], TOOLS), tmp_path) == [
        "RB_UNKNOWN.md:4:1: RB_UNKNOWN has a workflow, and it is for alerts that nothing is known about; "
        "leave the workflow out, or give the runbook an id of its own"
    ]


def test_a_directory_is_a_set_in_which_ids_and_alerts_belong_to_one_runbook(users: Path) -> None:
    labelled = "{name: A, labels: {x: y, u: v}}"
    (users / "a.md").write_text(page(HEAD + f"alerts: [A, {labelled}]\n" + STEPS))
    (users / "b.md").write_text(page(HEAD + "alerts: [{name: A, labels: {u: v, x: y}}, B]\n" + STEPS + "x: y\n"))
    (users / "c.md").write_text(page("id: RB_C\ntitle: C\nalerts: [{name: A, labels: {x: y}}]\n" + STEPS))
    assert lines(lint_paths([users], TOOLS), users) == [
        "b.md:2:5: id RB_OOM is taken by a.md:2:5; give one of the two another id",
        "b.md:4:10: alert A{u=v,x=y} is claimed by RB_OOM at a.md:4:13; "
        "claim it in one runbook, or add labels that tell the two apart",
        "b.md:8:1: unknown key 'x'; known keys: alerts, fallback_image, fallback_namespaces, future_actions, id, "
        "title, workflow",
    ]


def test_each_directory_is_a_set_of_its_own_and_the_files_named_are_another(shipped: Path, users: Path) -> None:
    (users / "RB_OOM.md").write_text((shipped / "RB_OOM.md").read_text())
    assert lint_paths([shipped, users, shipped], TOOLS) == []
    alone = users / "RB_OOM.md"
    assert lint_paths([alone, alone, users], TOOLS) == []
    assert [fault.what for fault in lint_paths([shipped / "RB_OOM.md", alone], TOOLS)] == [
        f"id RB_OOM is taken by {shipped}/RB_OOM.md:2:5",
        f"alert Oom is claimed by RB_OOM at {shipped}/RB_OOM.md:4:10",
    ]


def test_a_claim_of_a_runbook_without_a_readable_id_collides_too(users: Path) -> None:
    (users / "a.md").write_text(page("title: A\nalerts: [A]\n" + STEPS))
    (users / "b.md").write_text(page(HEAD + "alerts: [A]\n" + STEPS))
    assert [fault.what for fault in lint_paths([users], TOOLS)] == [
        "id is missing",
        f"alert A is claimed by a runbook at {users}/a.md:3:10",
    ]


def test_a_directory_holds_the_markdown_files_that_are_runbooks(shipped: Path) -> None:
    (shipped / "README.md").write_text("# How we write runbooks\n")
    (shipped / "notes.txt").write_text("x")
    (shipped / ".hidden.md").write_text("x")
    (shipped / "sub.md").mkdir()
    (shipped / "..2026_11_23").mkdir()
    (shipped / "..2026_11_23" / "RB_OOM.md").write_text("x")
    assert lint_paths([shipped], TOOLS) == []
    (shipped / "LOUD.MD").write_text("x")
    assert lines(lint_paths([shipped], TOOLS), shipped) == [
        "LOUD.MD:1:1: the front matter is missing; begin the file with a line ---"
    ]


def test_a_readme_with_front_matter_or_named_by_itself_is_a_runbook(shipped: Path) -> None:
    readme = shipped / "readme.md"
    readme.write_text("x")
    assert [fault.what for fault in lint_paths([readme], TOOLS)] == ["the front matter is missing"]
    readme.write_bytes(b"\xef\xbb\xbf---\r\n")
    assert [fault.what for fault in lint_paths([shipped], TOOLS)] == ["the front matter is not closed"]


def test_a_name_without_a_file_behind_it_is_a_fault_of_the_directory(shipped: Path) -> None:
    (shipped / "RB_GONE.md").symlink_to(shipped / "gone")
    (shipped / "README.md").symlink_to(shipped / "gone")
    assert lines(lint_paths([shipped], TOOLS), shipped) == [
        "RB_GONE.md:1:1: is not a file that can be read; put a Markdown file there, or remove the name"
    ]


def test_a_file_that_this_user_may_not_read_is_a_fault(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, *_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    (shipped / "README.md").touch()
    assert lines(lint_paths([shipped], TOOLS), shipped) == [
        f"{name}:1:1: cannot be read: Permission denied; make it readable for this user"
        for name in ("RB_OOM.md", "RB_UNKNOWN.md")
    ]


def test_a_path_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone: no such file or directory"):
        lint_paths([tmp_path / "gone"], TOOLS)


def test_a_directory_without_runbooks_is_bad_input(users: Path) -> None:
    (users / "README.md").write_text("x")
    with pytest.raises(BadInput, match=r"users: holds no runbook; runbooks are \*\.md files with front matter"):
        lint_paths([users], TOOLS)


def test_a_directory_that_cannot_be_listed_is_bad_input(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(BadInput, match="users: cannot be read: Permission denied"):
        lint_paths([users], TOOLS)


def test_users_files_replace_the_same_id_and_add_new_ones(shipped: Path, users: Path) -> None:
    (users / "mine.md").write_text(page("id: RB_OOM\ntitle: Mine\nalerts: [Oom, Other]\n" + STEPS))
    (users / "new.md").write_text(page("id: RB_NEW\ntitle: New\n" + STEPS))
    runbooks = load(shipped, users, TOOLS)
    assert {runbook.id: runbook.title for runbook in runbooks} == {
        "RB_UNKNOWN": "Unknown",
        "RB_OOM": "Mine",
        "RB_NEW": "New",
    }
    assert "RB_NEW" in runbooks
    assert "RB_OLD" not in runbooks


def test_users_files_may_not_claim_an_alert_of_a_shipped_runbook(shipped: Path, users: Path) -> None:
    (users / "new.md").write_text(page("id: RB_NEW\ntitle: New\nalerts: [Oom]\n" + STEPS))
    with pytest.raises(BadInput) as refusal:
        load(shipped, users, TOOLS)
    assert str(refusal.value) == (
        f"{users}/new.md:4:10: alert Oom is claimed by RB_OOM at {shipped}/RB_OOM.md:4:10; "
        "claim it in one runbook, or add labels that tell the two apart"
    )


def test_loading_refuses_every_fault_with_the_words_that_lint_prints(shipped: Path, users: Path) -> None:
    (shipped / "RB_OOM.md").write_text(page(HEAD + "alert: x\n" + STEPS))
    (users / "bad.md").write_text("---\n")
    (users / "worse.md").write_text(page(HEAD))
    with pytest.raises(BadInput) as refusal:
        load(shipped, users, TOOLS)
    assert str(refusal.value).splitlines() == [
        *map(str, lint_paths([shipped], TOOLS)),
        *map(str, lint_paths([users], TOOLS)),
    ]
    assert len(str(refusal.value).splitlines()) == 3


def test_a_shipped_set_without_a_runbook_for_unknown_alerts_is_refused(shipped: Path) -> None:
    (shipped / "RB_UNKNOWN.md").unlink()
    with pytest.raises(BadInput, match="no runbook has the id RB_UNKNOWN"):
        load(shipped, None, TOOLS)


def test_users_runbooks_are_given_as_a_directory(shipped: Path) -> None:
    with pytest.raises(BadInput, match=r"RB_OOM.md: no such directory; give a directory of runbooks"):
        load(shipped, shipped / "RB_OOM.md", TOOLS)


def test_a_tool_without_a_target_fits_into_a_runbook_of_either_kind(shipped: Path) -> None:
    (shipped / "node.md").write_text(page("id: RB_N\ntitle: N\nworkflow: [{step: get_runbook}, {step: cordon_node}]\n"))
    (shipped / "pod.md").write_text(page("id: RB_P\ntitle: P\nworkflow: [{step: check_oom}, {step: get_runbook}]\n"))
    assert lint_paths([shipped], TOOLS) == []


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        pytest.param("nginx:1.27", None, id="a tag"),
        pytest.param("host:5000/a/b_c/d-e.f:V1.0-rc_1", None, id="registry, port and tag"),
        pytest.param("Registry.example.com/app:1", None, id="a host may have capitals"),
        pytest.param("nginx@sha256:" + "0" * 64, None, id="a digest"),
        pytest.param("nginx:latest@sha256:" + "0" * 64, None, id="the digest wins over the tag latest"),
        pytest.param("nginx", "has no tag", id="no tag"),
        pytest.param("host:5000/img", "has no tag", id="a registry port is no tag"),
        pytest.param("host:5000/img:latest", "has the tag latest", id="latest"),
        pytest.param("nginx:", "is not an image name", id="an empty tag"),
        pytest.param("Nginx:1", "is not an image name", id="capitals in the name"),
        pytest.param("a b:1", "is not an image name", id="a blank"),
        pytest.param("nginx:1\n", "is not an image name", id="a line end"),
        pytest.param("nginx@sha256:abc", "is not an image name", id="a short digest"),
        pytest.param("https://x/y:1", "is not an image name", id="a URL"),
        pytest.param("a" * 600 + ":1", "is not an image name", id="endless"),
        pytest.param("", "is not an image name", id="nothing"),
    ],
)
def test_an_image_is_pinned_by_a_tag_that_is_not_latest_or_by_a_digest(image: str, fault: str | None) -> None:
    assert image_fault(image) == fault


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good runbook with some of its bytes cut out and others put in, mostly ones that YAML gives a meaning."""
    content = WHOLE.encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        put = draw(st.text(st.sampled_from("&*!<>|%@`'\"\\{}[],:?#-\t\r\n\0 \u2028\ufeffxU0é~="), max_size=8))
        content = content[:start] + put.encode() + content[end:]
    return content


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(mutated(), st.binary(max_size=300), st.binary(max_size=200).map(lambda b: b"---\n" + b + b"\n---\n")))
@example(b"---\n%YAML 1." + b"9" * 5000 + b"\n---\n")
@example(b'---\nid: "\\ud800"\ntitle: "\\ud800"\n---\n')
@example(b"---\n? [? [a]]\n: {? {}: x}\n---\n")
@example(b"---\n" + b"[" * 30_000 + b"\n---\n")
@example(b"---\n*a : *a\n---\n")
@example(b"---\na: b\n...\n--- !x\nc\n---\n")
def test_whatever_the_bytes_are_there_are_faults_with_a_place_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "RB_X.md"
    path.write_bytes(content)
    text = content.decode("utf-8", "replace")
    for fault in lint_paths([path], TOOLS):
        assert 1 <= fault.line <= text.count("\n") + 1
        assert 1 <= fault.column <= len(text) + 1
        assert fault.what
        assert fault.instead
        assert str(fault).isprintable()
        str(fault).encode()
