"""The linter on one file: every fault at its place, with what would be right."""

from pathlib import Path

import pytest

from tests.unit.lint_cases import HEAD, STEPS, faults_of, page, steps

FRONT_MATTER = [
    pytest.param("# Title\n", ["1:1: the front matter is missing; begin the file with a line ---"], id="missing"),
    pytest.param("", ["1:1: the front matter is missing; begin the file with a line ---"], id="empty file"),
    pytest.param("---\nid: RB_A\n", ["1:1: the front matter is not closed; end it with a line ---"], id="not closed"),
    pytest.param(page("- a\n"), ["2:1: the front matter is not a mapping; write lines of `key: value`"], id="a list"),
    pytest.param(page(""), ["2:1: the front matter is not a mapping; write lines of `key: value`"], id="nothing"),
    pytest.param(
        page(HEAD + "alerts: [a, b\n"),
        [
            "5:1: malformed YAML: expected ',' or ']', but got '<stream end>'; "
            "mend the indentation, colon, quote or bracket here"
        ],
        id="an open bracket",
    ),
    pytest.param(
        page(HEAD + "workflow:\n\t- step: check_oom\n"),
        [
            "5:1: malformed YAML: found character '\\t' that cannot start any token; "
            "indent with spaces, YAML takes no tabs"
        ],
        id="a tab",
    ),
    pytest.param(
        page(HEAD + "alerts: [\x07]\n"),
        ["4:10: a control character is in the front matter; remove it"],
        id="a control character",
    ),
    pytest.param(
        page('id: "\\UFFFFFFFF"\n'),
        ["2:1: malformed YAML: an escape or number is out of range; write the text plainly"],
        id="an escape beyond Unicode",
    ),
    pytest.param(b"---\r\nid: RB_\xff\r\n---\r\n", ["2:8: byte 0xff is not UTF-8; save it as UTF-8"], id="not UTF-8"),
    pytest.param(
        page(HEAD + "alerts: &a [x]\nfuture_actions: *a\n" + STEPS),
        [
            "4:9: anchor '&a'; write the value out wherever it is used",
            "5:17: alias '*a'; write the value out",
        ],
        id="an anchor and its alias",
    ),
    pytest.param(
        page("id: !!python/name:os.system RB_A\ntitle: !x y\n"),
        [
            "2:5: tag 'tag:yaml.org,2002:python/name:os.system'; leave it out; no value of a runbook needs a tag",
            "3:8: tag '!x'; leave it out; no value of a runbook needs a tag",
        ],
        id="tags",
    ),
    pytest.param(
        page(HEAD + STEPS + "<<: {title: x}\n"),
        [
            "7:1: unknown key '<<'; known keys: alerts, fallback_image, fallback_namespaces, future_actions, id, "
            "title, workflow"
        ],
        id="a merge key",
    ),
    pytest.param(
        page("alerts: " + "[" * 500 + "\n"),
        ["2:20: nested deeper than 12 levels; no key of a runbook needs that"],
        id="deep nesting",
    ),
    pytest.param(
        page(f"title: {'x' * 70_000}\n"),
        ["2:1: the front matter is larger than 64 KiB; keep texts in the Markdown part"],
        id="a huge front matter",
    ),
    pytest.param(
        "---\n" + "x" * 2**20,
        ["1:1: is larger than 1 MiB; a runbook has at most 1 MiB; split it"],
        id="a huge file",
    ),
]

KEYS = [
    pytest.param(
        page(HEAD + STEPS + "alert: []\n"), ["7:1: unknown key 'alert'; did you mean 'alerts'?"], id="unknown key"
    ),
    pytest.param(
        page(HEAD + STEPS + "title: again\n"),
        ["7:1: key 'title' is doubled, it stands in line 3 too; keep one of them"],
        id="doubled key",
    ),
    pytest.param(
        page(HEAD + "alerts:\n  - {name: A, labels: {x: y, x: z}}\n" + STEPS),
        ["5:30: key 'x' is doubled, it stands in line 5 too; keep one of them"],
        id="doubled key in a nested mapping",
    ),
    pytest.param(
        page(HEAD + STEPS + "? [a]\n: b\n"),
        ["7:3: the front matter has a key that is not a name; write the key as plain text"],
        id="a key that is a list",
    ),
    pytest.param(
        page("fallback_namespaces: []\n"),
        [
            "2:1: id is missing; add `id: RB_NAME`",
            "2:1: title is missing; add `title: WHAT THE RUNBOOK IS ABOUT`",
            "2:1: workflow is missing; add `workflow:` with at least one step",
        ],
        id="all that is missing in one go",
    ),
    pytest.param(
        page("id: rb-oom\ntitle: ''\n" + STEPS),
        [
            "2:5: id 'rb-oom' is not well formed; write RB_ and capitals, digits or underscores, as in RB_OOM",
            "3:8: title is empty; write a text, or leave the key out",
        ],
        id="id not well formed, title empty",
    ),
    pytest.param(
        page("id: [RB_A]\ntitle: 42\n" + STEPS),
        [
            "2:5: id is not text; write one line of text",
            '3:8: title is 42, which YAML does not take as text; put it in quotes: "42"',
        ],
        id="wrong types",
    ),
    pytest.param(
        page('id: RB_A\ntitle: "a\\u202eb"\n' + STEPS),
        ["3:8: title holds a line break or an invisible character; write one line of plain text"],
        id="a title that prints backwards",
    ),
    pytest.param(
        page(HEAD + STEPS + "future_actions: [scale, scale, Big-One]\n"),
        [
            "7:25: future action 'scale' stands twice; keep one of them",
            "7:32: future action 'Big-One' is not well formed; write a name of small letters, digits and underscores",
        ],
        id="future_actions",
    ),
    pytest.param(
        page(HEAD + STEPS + "fallback_namespaces: [demo, 'team-*', Demo]\n"),
        [
            "7:29: namespace 'team-*' is not well formed; write the whole name of a namespace; patterns are not taken",
            "7:39: namespace 'Demo' is not well formed; write the whole name of a namespace; patterns are not taken",
        ],
        id="fallback_namespaces",
    ),
    pytest.param(
        page(HEAD + STEPS + "fallback_image: host:5000/img\n"),
        ["7:17: fallback_image 'host:5000/img' has no tag; pin it by a tag that is not latest, or by @sha256:DIGEST"],
        id="fallback_image",
    ),
    pytest.param(
        page(HEAD + STEPS + "fallback_image: [x]\n"),
        ["7:17: fallback_image is not text; write one line of text"],
        id="fallback_image of a wrong type",
    ),
]

ALERTS = [
    pytest.param("alerts: A\n", ["4:9: alerts is not a list; write it as [one, two] or as lines that begin with `- `"]),
    pytest.param("alerts: [no]\n", ['4:10: alert is no, which YAML does not take as text; put it in quotes: "no"']),
    pytest.param("alerts: [[A]]\n", ["4:10: an alert is not a mapping; write it as `key: value` lines"]),
    pytest.param(
        "alerts: [{labels: {a: b}}]\n",
        ["4:10: the alert has no name; write {name: ALERT, labels: {LABEL: VALUE}}"],
    ),
    pytest.param("alerts: [{name: A, label: {}}]\n", ["4:20: unknown key 'label'; did you mean 'labels'?"]),
    pytest.param("alerts: [{name: A, labels: b}]\n", ["4:28: labels is not a mapping; write it as `key: value` lines"]),
    pytest.param(
        "alerts: [{name: A, labels: {code: 500}}]\n",
        ["4:35: label 'code' is 500, which YAML does not take as text; put it in quotes: \"500\""],
    ),
    pytest.param(
        "alerts: [{name: A, labels: {500: code}}]\n",
        ['4:29: label name is 500, which YAML does not take as text; put it in quotes: "500"'],
    ),
    pytest.param("alerts: [{name: ''}]\n", ["4:17: alert name is empty; write a text, or leave the key out"]),
    pytest.param(
        "alerts: [A, {name: A, labels: {}}]\n",
        [
            "4:13: alert A is claimed by RB_OOM at FILE:4:10; "
            "claim it in one runbook, or add labels that tell the two apart"
        ],
    ),
]

WORKFLOW = [
    pytest.param(
        steps("- step: get_pod_events", "  verify: {within: 180s, undo: true}"),
        [
            "7:5: verify stands at get_pod_events, which changes nothing; "
            "leave it out, or move it to the step that changes something"
        ],
        id="verify at a step that reads",
    ),
    pytest.param(page(HEAD + "workflow: []\n"), ["4:1: workflow is empty; add at least one line `- step: TOOL`"]),
    pytest.param(page(HEAD + "workflow:\n"), ["4:1: workflow is empty; add at least one line `- step: TOOL`"]),
    pytest.param(
        page(HEAD + "workflow: check_oom\n"),
        ["4:11: workflow is not a list; write it as [one, two] or as lines that begin with `- `"],
    ),
    pytest.param(steps("- check_oom"), ["6:5: a step is not a mapping; write it as `key: value` lines"]),
    pytest.param(steps("- tool: check_oom"), ["6:5: the step has no name; begin it with `step: NAME`"]),
    pytest.param(
        steps("- step: Check", "  tool: check_oom"),
        ["6:11: step name 'Check' is not well formed; write small letters, digits and underscores, as in check_oom"],
    ),
    pytest.param(steps("- step: check_oom"), ["6:5: step 'check_oom' stands twice; give each step a name of its own"]),
    pytest.param(
        steps("- step: increase_memory"),
        ["6:11: unknown tool 'increase_memory'; did you mean 'increase_memory_limit'?"],
    ),
    pytest.param(
        steps("- step: look", "  tool: zzz"),
        [
            "7:11: unknown tool 'zzz'; known tools: check_oom, cordon_node, fix_imagepullbackoff, "
            "get_node_ready, get_pod_events, get_runbook, increase_memory_limit"
        ],
    ),
    pytest.param(
        steps("- step: look", "  tool: 7"), ['7:11: tool is 7, which YAML does not take as text; put it in quotes: "7"']
    ),
    pytest.param(
        steps("- step: cordon_node"),
        [
            "6:5: tool cordon_node looks at a node, and check_oom at a workload; "
            "keep the tools of one runbook to one kind: all workload or all node"
        ],
    ),
    pytest.param(
        steps("- step: fix_imagepullbackoff"),
        [
            "6:5: step fix_imagepullbackoff patches images, and the runbook has no fallback_image; "
            "add `fallback_image:` with a pinned image"
        ],
    ),
    pytest.param(
        steps("- step: increase_memory_limit", "  mode: auto", "  approval: true"),
        [
            "7:11: mode is 'auto'; write recommend, the only value it takes, or leave it out",
            '8:15: approval is true, which YAML does not take as text; put it in quotes: "true"',
        ],
    ),
]

GATES = [
    pytest.param(
        ["when: oom"], ["7:11: gate 'oom' is not well formed; write STEP.FIELD, as in check_oom.oom_detected"]
    ),
    pytest.param(
        ["when: chek_oom.oom_detected"],
        ["7:11: gate refers to step 'chek_oom', which is not in the workflow; did you mean 'check_oom'?"],
    ),
    pytest.param(
        ["when: increase_memory_limit.changed"],
        ["7:11: gate 'increase_memory_limit.changed' refers to itself; refer to a step that stands before this one"],
    ),
    pytest.param(
        ["when: last.oom_detected", "- step: last", "  tool: check_oom"],
        ["7:11: gate 'last.oom_detected' refers to a later step; refer to a step that stands before this one"],
    ),
    pytest.param(
        ["when: check_oom.oom_detect"],
        ["7:11: check_oom does not answer 'oom_detect'; did you mean 'oom_detected'?"],
    ),
    pytest.param(
        ["when: check_oom.reasons"],
        [
            "7:11: check_oom answers 'reasons' not as true or false; "
            "its true-or-false fields: oom_detected, swap_detected"
        ],
    ),
    pytest.param(
        ["when: [check_oom.oom_detected]"],
        ["7:11: when is a list; write one STEP.FIELD, or use when_all or when_any"],
    ),
    pytest.param(
        ["when_all: check_oom.oom_detected"],
        ["7:15: when_all is not a list; write it as [one, two] or as lines that begin with `- `"],
    ),
    pytest.param(["when_any: []"], ["7:15: when_any is empty; name at least one STEP.FIELD, or leave the key out"]),
    pytest.param(["unless: []"], ["7:13: unless is empty; name at least one STEP.FIELD, or leave the key out"]),
    pytest.param(
        ["unless: {a: b}"],
        ["7:13: unless is not a list; write it as [one, two] or as lines that begin with `- `"],
    ),
    pytest.param(
        ["when: check_oom.oom_detected", "  unless: check_oom.oom_detected"],
        ["8:13: check_oom.oom_detected stands twice in the gate of this step; keep one of them"],
    ),
    pytest.param(
        ["when_all: [check_oom.oom_detected, 7]"],
        ['7:40: gate is 7, which YAML does not take as text; put it in quotes: "7"'],
    ),
]

VERIFY = [
    pytest.param("180s", ["7:13: verify is not a mapping; write it as `key: value` lines"]),
    pytest.param(
        "{within: soon}",
        [
            "7:13: verify lacks undo; write it as {within: 180s, undo: true}",
            "7:22: within 'soon' is not a duration; write a number with its unit: 180s, 3m, 1h30m",
        ],
        id="a bad within without undo: both",
    ),
    pytest.param("{within: 180s}", ["7:13: verify lacks undo; write it as {within: 180s, undo: true}"]),
    pytest.param("{undo: true}", ["7:13: verify lacks within; write it as {within: 180s, undo: true}"]),
    pytest.param("{within: 180s, undo: yes}", ["7:34: undo is neither true nor false; write true or false"]),
    pytest.param("{within: 180s, undo: 'true'}", ["7:34: undo is neither true nor false; write true or false"]),
    pytest.param("{within: 180s, undo: true, x: 1}", ["7:40: unknown key 'x'; known keys: undo, within"]),
    *(
        pytest.param(
            f"{{within: {value}, undo: true}}",
            [f"7:22: within {value!r} is not a duration; write a number with its unit: 180s, 3m, 1h30m"],
            id=f"within {value}",
        )
        for value in ("180", "3 minutes", "-5s", "5s3m", "1.5h", "1w", "s")
    ),
    pytest.param(
        "{within: [1s], undo: true}",
        ["7:22: within is not a duration; write a number with its unit: 180s, 3m, 1h30m"],
    ),
    *(
        pytest.param(
            f"{{within: {value}, undo: true}}",
            [f"7:22: within {value} is out of range; write more than 0s and at most 1h"],
            id=f"within {value}",
        )
        for value in ("0s", "61m", "9999h", "1d")
    ),
]


@pytest.mark.parametrize(("text", "faults"), FRONT_MATTER)
def test_a_front_matter_that_cannot_be_read_is_named_at_its_place(
    tmp_path: Path, text: str | bytes, faults: list[str]
) -> None:
    assert faults_of(tmp_path, text) == faults


@pytest.mark.parametrize(("text", "faults"), KEYS)
def test_every_fault_of_a_key_is_named_with_what_would_be_right(tmp_path: Path, text: str, faults: list[str]) -> None:
    assert faults_of(tmp_path, text) == faults


@pytest.mark.parametrize(("alerts", "faults"), ALERTS)
def test_every_fault_of_an_alert_is_named(tmp_path: Path, alerts: str, faults: list[str]) -> None:
    named = [fault.replace("FILE", str(tmp_path / "RB_X.md")) for fault in faults]
    assert faults_of(tmp_path, page(HEAD + alerts + STEPS)) == named


@pytest.mark.parametrize(("text", "faults"), WORKFLOW)
def test_every_fault_of_a_step_is_named(tmp_path: Path, text: str, faults: list[str]) -> None:
    assert faults_of(tmp_path, text) == faults


@pytest.mark.parametrize(("lines", "faults"), GATES)
def test_every_fault_of_a_gate_is_named(tmp_path: Path, lines: list[str], faults: list[str]) -> None:
    first, *more = lines
    assert faults_of(tmp_path, steps("- step: increase_memory_limit", f"  {first}", *more)) == faults


@pytest.mark.parametrize(("value", "faults"), VERIFY)
def test_every_fault_of_verify_is_named(tmp_path: Path, value: str, faults: list[str]) -> None:
    assert faults_of(tmp_path, steps("- step: increase_memory_limit", f"  verify: {value}")) == faults
