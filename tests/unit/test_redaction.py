"""Redaction: canaries must go, ordinary text must stay, hidden characters must go, and time stays linear."""

import json
import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sre_agent import redaction
from sre_agent.redaction import redact, redact_text, strip_control

CANARY = "hunter2Canary9"
BASE64 = "dXNlcjpodW50ZXIy"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s5-aBcD_eFg"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{CANARY}\n-----END RSA PRIVATE KEY-----"
PLACEHOLDER = r"\[redacted:[a-z-]+:[0-9a-f]{4}\]"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.mark.parametrize(
    ("text", "canary", "left"),
    [
        pytest.param(
            f"Authorization: Bearer {CANARY} next", CANARY, "Authorization: Bearer [] next", id="bearer header"
        ),
        pytest.param(f"Authorization: Basic {BASE64}", BASE64, "Authorization: Basic []", id="basic header"),
        pytest.param(f"proxy-authorization: {CANARY} x", CANARY, "proxy-authorization: []", id="unknown scheme"),
        pytest.param(
            f'{{"Authorization": "Bearer {CANARY}"}}', CANARY, '{"Authorization": "Bearer []"}', id="header in JSON"
        ),
        pytest.param(f"sent Bearer {CANARY}, got 401", CANARY, "sent Bearer [], got 401", id="bearer alone"),
        pytest.param(f"sent basic {BASE64}==", BASE64, "sent basic []", id="basic alone"),
        pytest.param(f"Cookie: session={CANARY}; b=c\nnext", CANARY, "Cookie: []\nnext", id="cookie"),
        pytest.param(f"got {JWT}, ok", JWT, "got [], ok", id="JWT"),
        pytest.param(f"key:\n{PEM}\nnext", CANARY, "key:\n[]\nnext", id="PEM private key"),
        pytest.param(f"-----BEGIN PRIVATE KEY-----\\n{CANARY}", CANARY, "[]", id="PEM cut off"),
        pytest.param(
            f"QUJD\n{CANARY}\n-----END PRIVATE KEY-----\nnext",
            CANARY,
            "[]-----END PRIVATE KEY-----\nnext",
            id="PEM whose beginning is cut off",
        ),
        pytest.param(f"postgresql://sre:{CANARY}@db:5432/x", CANARY, "postgresql://sre:[]@db:5432/x", id="URL"),
        pytest.param(f"redis://:{CANARY}@cache", CANARY, "redis://:[]@cache", id="URL without user"),
        pytest.param(f"amqp://u:a/{CANARY}@b@mq/v", CANARY, "amqp://u:[]@mq/v", id="URL badly encoded"),
        pytest.param("postgres://u:123/4canary@h/d", "4canary", "postgres://u:[]@h/d", id="looks like a port"),
        pytest.param("id AKIAIOSFODNN7EXAMPLE ok", "AKIAIOSFODNN7EXAMPLE", "id [] ok", id="AWS key id"),
        pytest.param(
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI",
            "aws_secret_access_key = []",
            id="AWS secret key",
        ),
        pytest.param(f"key AIza{'aB3-' * 8}xyz", "aB3-", "key []", id="Google API key"),
        pytest.param(
            f"AccountKey={CANARY}==;EndpointSuffix=x", CANARY, "AccountKey=[];EndpointSuffix=x", id="Azure account"
        ),
        pytest.param(f"<password>{CANARY}</password> x", CANARY, "<password>[]</password> x", id="XML"),
        pytest.param(
            f'<ns:db.password a="b">\n {CANARY} y </ns:db.password>',
            CANARY,
            '<ns:db.password a="b">\n []</ns:db.password>',
            id="XML with all there is",
        ),
        pytest.param(f"https://b/x?sv=1&sig={CANARY}%3D", CANARY, "https://b/x?sv=1&sig=[]", id="Azure SAS"),
        pytest.param(f"abc8Q~{CANARY * 2}123456 x", CANARY, "[] x", id="Azure client secret"),
        pytest.param(f"clone ghp_{CANARY * 3}", CANARY, "clone []", id="GitHub"),
        pytest.param(f"github_pat_{CANARY * 2}", CANARY, "[]", id="GitHub fine-grained"),
        pytest.param("xoxb-123456789012-abcdef", "123456789012", "[]", id="Slack"),
        pytest.param(
            f"https://hooks.slack.com/services/T0/B0/{CANARY}",
            CANARY,
            "https://hooks.slack.com/services/[]",
            id="Slack webhook",
        ),
        pytest.param(f"key sk-{CANARY}abcd", CANARY, "key []", id="OpenAI"),
        pytest.param("key sk-proj-abcdefgh-ijklmnop", "abcdefgh", "key []", id="OpenAI project"),
        pytest.param(f"password={CANARY}", CANARY, "password=[]", id="assignment"),
        pytest.param(f"DB_PASSWORD: {CANARY}", CANARY, "DB_PASSWORD: []", id="YAML"),
        pytest.param(f"a=b,dbPassword={CANARY},pod=app-1", CANARY, "a=b,dbPassword=[],pod=app-1", id="among others"),
        pytest.param(f"password=x,{CANARY} user=u", CANARY, "password=[] user=u", id="a comma within"),
        pytest.param(f'{{"api_key": "{CANARY}"}}', CANARY, '{"api_key": "[]"}', id="JSON"),
        pytest.param(f'{{\\"apiKey\\":\\"{CANARY}\\"}}', CANARY, '{\\"apiKey\\":\\"[]\\"}', id="JSON in a string"),
        pytest.param(f'secret = "a\\"{CANARY}" ok', CANARY, 'secret = "[]" ok', id="escaped quote within"),
        pytest.param(f"host=h password='a {CANARY}' x", CANARY, "host=h password='[]' x", id="quoted, with a space"),
        pytest.param(f'token: "{CANARY}\nnext', CANARY, 'token: "[]\nnext', id="quote never closed"),
        pytest.param(f"token={JWT}x", JWT, "token=[]", id="token"),
        pytest.param(f"    token: {CANARY}\n", CANARY, "    token: []\n", id="kubeconfig token"),
        pytest.param(f"client-key-data: {BASE64}==", BASE64, "client-key-data: []", id="kubeconfig key"),
        pytest.param(
            f"a: b\npassword: |-\n  x\n  {CANARY}\nc: d", CANARY, "a: b\npassword: |-\n[]\nc: d", id="YAML block"
        ),
        pytest.param("password: correcthorse", "correcthorse", "password: []", id="a password of plain letters"),
        pytest.param(f"mysql --password {CANARY} -h db", CANARY, "mysql --password [] -h db", id="flag"),
        pytest.param(f"X-Api-Key: {CANARY}", CANARY, "X-Api-Key: []", id="header of an API"),
        pytest.param(f'"auth": "{BASE64}="', BASE64, '"auth": "[]"', id="docker config"),
        pytest.param(f"https://x/cb?access_token={CANARY}&a=b", CANARY, "https://x/cb?access_token=[]&a=b", id="query"),
        pytest.param(f"pass\u200bword={CANARY}", CANARY, "password=[]", id="name broken by a zero-width space"),
        pytest.param(f"pass\x1b[0mword={CANARY}", CANARY, "password=[]", id="name broken by a colour"),
        pytest.param(f"password=[redacted:{CANARY}", CANARY, "password=[]", id="a false placeholder"),
    ],
)
def test_a_secret_is_taken_out_and_the_rest_stays(text: str, canary: str, left: str) -> None:
    redacted = redact_text(text)
    assert canary not in redacted
    assert _without_placeholders(redacted) == left
    assert redact_text(redacted) == redacted


def _without_placeholders(text: str) -> str:
    return re.sub(PLACEHOLDER, "[]", text)


@pytest.mark.parametrize(
    "text",
    [
        "my-app-7c6f4866fc-rclv2",
        "sk-learn-worker-7c6f4866fc-rclv2",
        "us-docker.pkg.dev/google-samples/containers/gke/hello-app:1.0",
        "nginx@sha256:4c0fdaa8b6341bfdeca5f18f7837462c80cff90527ee35ef185571e1c327beac",
        "docker-pullable://registry:5000/nginx@sha256:4c0fdaa8b634",
        "containerd://4c0fdaa8b6341bfdeca5f18f7837462c80cff90527ee35ef185571e1c327beac",
        "uid 0f7c1a52-93de-4f0c-a1b2-6f2f3c7c9a10, fingerprint a4c6c4f7a49ca0ae",
        "limit 256Mi→512Mi, 100m, 1e3",
        "http://prometheus:9090/graph?g0.expr=up%7Bjob%3D%22x%22%7D&g0.tab=1",
        "http://host:8080/path?email=a@b",
        "http://[::1]:8080/a@b",
        "https://user@host/path:x@y",
        "Back-off restarting failed container app in pod my-app_demo(0f7c1a52)",
        'Failed to pull image "nope:1": not found',
        "Basic authentication failed, bearer tokens are needed",
        'secret "db-credentials" not found',
        'failed to fetch token: serviceaccounts "app" not found',
        "secretName: db-credentials",
        "automountServiceAccountToken: true",
        "max_tokens: 100",
        "password: null",
        "PWD=/usr/src/app",
        "password=",
        "DB_PASSWORD:  <set to the key 'x' in secret 'y'>",
        "Secret:&SecretVolumeSource{SecretName:foo}",
        "secret: {name: db-credentials}",
        "token: []",
        "secret://vault/path",
        "Token::parse",
        "expected <token> but got <end>",
        "pods is forbidden: User cannot list resource",
        "naïve café, 東京, Ελλάδα",
        "two\nlines\tand a tab",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": BASE64}, "stringData": {"b": "true"}},
            {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "[]"}, "stringData": {"b": "[]"}},
            id="every value of a Secret",
        ),
        pytest.param(
            {
                "kind": "SecretList",
                "items": [
                    {"metadata": {"name": "s"}, "data": {"a": BASE64}},
                    {"kind": "Secret", "data": {"a": "b"}},
                    1,
                ],
            },
            {
                "kind": "SecretList",
                "items": [{"metadata": {"name": "s"}, "data": {"a": "[]"}}, {"kind": "Secret", "data": {"a": "[]"}}, 1],
            },
            id="every Secret of a list",
        ),
        pytest.param({"kind": "SecretList", "items": None}, {"kind": "SecretList", "items": None}, id="an empty list"),
        pytest.param({f"ghp_{CANARY * 3}": "x", 5: "y"}, {"[]": "x", "5": "y"}, id="a secret as a key"),
        pytest.param({"labels": {"team\u200b": "a"}}, {"labels": {"team": "a"}}, id="a key with hidden characters"),
        pytest.param({"kind": "Secret", "data": None}, {"kind": "Secret", "data": None}, id="a Secret without data"),
        pytest.param(
            {"kind": "Secret", "data": {"a": 1}}, {"kind": "Secret", "data": {"a": 1}}, id="data that is no text"
        ),
        pytest.param(
            {"kind": "ConfigMap", "data": {"a": "b"}}, {"kind": "ConfigMap", "data": {"a": "b"}}, id="a ConfigMap"
        ),
        pytest.param(
            {
                "env": [
                    {"name": "GREETING", "value": "hello"},
                    {"name": "X", "valueFrom": {}},
                    {"name": "E", "value": ""},
                    "odd",
                ]
            },
            {
                "env": [
                    {"name": "GREETING", "value": "[]"},
                    {"name": "X", "valueFrom": {}},
                    {"name": "E", "value": ""},
                    "odd",
                ]
            },
            id="values of a container's variables",
        ),
        pytest.param({"env": "prod"}, {"env": "prod"}, id="a label called env"),
        pytest.param(
            {"httpHeaders": [{"name": "Authorization", "value": CANARY}, {"name": "Host", "value": "a"}]},
            {"httpHeaders": [{"name": "Authorization", "value": "[]"}, {"name": "Host", "value": "a"}]},
            id="a header of a probe",
        ),
        pytest.param(
            {"annotations": {LAST_APPLIED: "{}", "a": "b"}}, {"annotations": {"a": "b"}}, id="last applied is dropped"
        ),
        pytest.param(
            {"user": {"token": CANARY, "client-key-data": BASE64, "username": "u"}},
            {"user": {"token": "[]", "client-key-data": "[]", "username": "u"}},
            id="kubeconfig",
        ),
        pytest.param({"auths": {"r": {"auth": BASE64}}}, {"auths": {"r": {"auth": "[]"}}}, id="docker config"),
        pytest.param(
            {"secret": {"secretName": "db"}, "token": None, "password": 5},
            {"secret": {"secretName": "db"}, "token": None, "password": 5},
            id="a volume, and what is no text",
        ),
        pytest.param(
            {"args": ["--password", CANARY, "--verbose", "x", f"--token={CANARY}"]},
            {"args": ["--password", "[]", "--verbose", "x", "--token=[]"]},
            id="arguments",
        ),
        pytest.param(["--password", ["nested"]], ["--password", ["nested"]], id="no text after a flag"),
        pytest.param({"a": (1, 2.5, None, True)}, {"a": [1, 2.5, None, True]}, id="other values"),
        pytest.param({"token": ""}, {"token": ""}, id="an empty secret"),
    ],
)
def test_kubernetes_objects_lose_their_secrets_and_nothing_else(value: Any, expected: Any) -> None:
    redacted = redact(value)
    assert json.loads(_without_placeholders(json.dumps(redacted))) == expected
    assert redact(redacted) == redacted


def test_two_secrets_can_be_told_apart_and_one_is_recognised_again() -> None:
    one, again, other = (redact_text(f"password={value}") for value in ("alpha", "alpha", "beta"))
    assert one == again != other


def test_a_placeholder_is_the_same_in_every_process() -> None:
    assert redact_text("password=alpha") == "password=[redacted:credential:4edf]"


def test_the_value_that_was_given_is_not_changed() -> None:
    value = {"env": [{"name": "A", "value": "b"}], "l": ["x\x1b[0m"]}
    before = json.dumps(value)
    redact(value)
    assert json.dumps(value) == before


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("\x1b[1;31mred\x1b[0m", "red", id="colour"),
        pytest.param("\x9b31mred", "red", id="colour, one byte"),
        pytest.param("\x1b]0;title\x07text", "text", id="title ended by a bell"),
        pytest.param("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", id="link"),
        pytest.param("\x1bPq#0\x1b\\text", "text", id="device control"),
        pytest.param("\x1bcreset", "reset", id="reset"),
        pytest.param("\x1b(Bset", "set", id="character set"),
        pytest.param("\x1b]0;never ended", "0;never ended", id="an unended title hides nothing"),
        pytest.param("\x1b\x1b[31m!", "!", id="escape before an escape"),
        pytest.param("a\x00b\x08c\x7fd\x85e\r\n", "abcde\n", id="control characters"),
        pytest.param("a\tb\nc", "a\tb\nc", id="tab and newline stay"),
        pytest.param("user\u202etxt.exe\u2066x\u2069", "usertxt.exex", id="bidirectional"),
        pytest.param("a\u200bb\u2060c\ufeffd\u00ade", "abcde", id="zero width"),
        pytest.param("hi\U000e0041\U000e0042", "hi", id="tag characters"),
        pytest.param("a\ud800b", "ab", id="half a surrogate pair"),
        pytest.param("日本 é 🙂 العربية", "日本 é 🙂 العربية", id="scripts stay"),
    ],
)
def test_hidden_characters_are_taken_out(text: str, left: str) -> None:
    assert strip_control(text) == left


NAMES = ["password", "token", "secret", "auth", "Authorization", "Bearer ", "basic ", "cookie", "eyJabcdef.", "sk-"]
SIGNS = [
    "=",
    ":",
    " ",
    '"',
    "'",
    "\\",
    "{",
    "[",
    "]",
    "://",
    "@",
    "/",
    "-",
    "--",
    ",",
    "&",
    "|",
    "\n",
    "?sig=",
    "\x1b[",
    "\x1b",
]
VALUES = [CANARY, BASE64, "m", "a", "1", "\u200b", "[redacted:key:12ab]", "-----BEGIN PRIVATE KEY-----"]
FRAGMENTS = st.sampled_from([*NAMES, *SIGNS, *VALUES])


@example("password=password,eyJabcdef.eyJabcdef.=")
@given(st.lists(FRAGMENTS, max_size=12).map("".join))
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@given(
    st.sampled_from(
        ["password={}", "password: {} x", '"token": "{}"', "postgres://u:{}@h/d", "Authorization: Bearer {}"]
    ),
    st.text(alphabet="abcXYZ019+/=_.~-", min_size=8, max_size=40).filter(
        lambda text: text[0] not in "/=" and text[-1] != "="
    ),
)
def test_no_secret_survives_in_a_known_place(template: str, secret: str) -> None:
    assert secret not in redact_text(template.format(secret))


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    assert all(char.isprintable() or char.isspace() or ord(char) > 0xFF for char in redact_text(text))
    assert "\x1b" not in redact_text(f"\x1b{text}\x1b[")


@pytest.mark.parametrize(
    "unit",
    [
        *NAMES,
        *SIGNS,
        *VALUES,
        "eyJ",
        "://a:",
        "token ",
        "token='",
        "\x1b]",
        "password:|\n a",
        "<password>",
        "<password ",
        "<a:",
    ],
)
def test_time_grows_with_the_length_of_the_text_only(unit: str) -> None:
    text = "password " + unit * (200_000 // len(unit))
    began = time.process_time()
    redact_text(text)
    assert time.process_time() - began < 3.0


FRAGMENTS = (
    *("password", "PassWD", "db_pass", "pwd", "Secret", "token", "api-KEY", "X-Amz-Signature", "Authorization"),
    *("Bearer ", "basic ", "cookie:", "Set-Cookie: ", "auth", "https://", "u:p@h", "--token ", "?sig=", "</", "<", ">"),
    *("=", ": ", ":", '"', "'", "\\", "\n", " ", "|", "/", "{", "AKIAABCDEFGHIJKLMNOP", "eyJhbGciOi.J9abc.x-y", "hf_"),
    *("ghp_", "sk-", "xoxb-", "npm_", "SG.", "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7", "-----BEGIN RSA PRIVATE KEY-----"),
    *("hooks.slack.com/services/", "T0123/B0123/abc", "K", "ſecret", "İ", "plain words"),
)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_looking_for_signs_first_finds_what_every_rule_would(text: str) -> None:
    every_rule = strip_control(text)
    for rule in redaction._RULES:
        every_rule = rule.pattern.sub(rule.replace, every_rule)
    assert redact_text(text) == every_rule
