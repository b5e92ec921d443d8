"""Settings: one table, every bad value named at once, no secret ever shown."""

from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre_agent.errors import BadInput
from sre_agent.settings import (
    SETTINGS,
    Address,
    PolicyRule,
    SettingRow,
    Settings,
    UnknownVariable,
    describe,
    load,
)

HOME = {"HOME": "/home/op"}
CANARY = "hunter2"


def loaded(**environ: str) -> Settings:
    return load({**HOME, **environ})


def refusal(**environ: str) -> str:
    with pytest.raises(BadInput) as error:
        loaded(**environ)
    return str(error.value)


def row(settings: Settings, variable: str) -> SettingRow:
    return next(entry for entry in describe(settings) if entry.name == variable)


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    assert load(HOME) == Settings(
        database_url=None,
        openai_api_key=None,
        openai_base_url=None,
        openai_model="gpt-5.2",
        planner=None,
        investigate=False,
        llm_timeout=timedelta(seconds=60),
        llm_time_per_step=timedelta(seconds=90),
        llm_time_per_run=timedelta(minutes=10),
        llm_calls_per_run=25,
        llm_tokens_per_run=100_000,
        llm_tokens_per_day=5_000_000,
        llm_cost_per_day=None,
        llm_price_in=None,
        llm_price_out=None,
        llm_reasoning=None,
        llm_ca=None,
        prompts_dir=None,
        hide_emails=False,
        agent_mode="recommend",
        cluster_name=None,
        log_level="INFO",
        listen=Address(host="127.0.0.1", port=8080),
        webhook_user=None,
        webhook_password=None,
        webhook_token=None,
        api_token=None,
        viewer_token=None,
        visitors=False,
        links=(),
        tls_cert=None,
        tls_key=None,
        concurrency=4,
        data_dir=Path("/home/op/.local/share/sre-agent"),
        runbooks_dir=None,
        modes=(),
        approve_tools=(),
        deny_namespaces=(),
        allow_namespaces=(),
        agent_namespace="agentic",
        monitoring_namespace="observability",
        stop=False,
        alertmanager_url=None,
        alertmanager_user=None,
        alertmanager_token=None,
        ignore_alerts=("Watchdog", "InfoInhibitor"),
        helm="act",
        settle=timedelta(minutes=10),
        cordon_settle=timedelta(minutes=60),
        node_ready_for=timedelta(minutes=5),
        cooldown=timedelta(minutes=30),
        action_window=timedelta(hours=24),
        alert_max_age=timedelta(hours=24),
        evidence_max_age=timedelta(seconds=60),
        near_limit_pause=timedelta(days=7),
        opposite_pause=timedelta(hours=24),
        actions_per_day=2,
        writes_per_10m=5,
        drain_pause=timedelta(minutes=10),
        storm=20,
        storm_window=timedelta(minutes=5),
        nodes_not_ready=50,
        api_errors=20,
        health_floor=51,
        min_nodes=3,
        drain_strict=False,
        drain_timeout=timedelta(minutes=5),
        memory_floor=256 * 2**20,
        memory_cap=4 * 2**30,
        evidence_bytes=2 * 2**20,
    )


def test_the_table_and_the_fields_are_the_same_settings() -> None:
    of_settings = [entry.name for entry in fields(Settings) if entry.name not in {"from_environment", "unknown"}]
    assert [entry.name for entry in SETTINGS] == of_settings
    assert len({entry.variable for entry in SETTINGS}) == len(SETTINGS)
    assert all(entry.description and entry.kind.allowed for entry in SETTINGS)


def test_settings_cannot_be_changed_after_loading() -> None:
    with pytest.raises(FrozenInstanceError):
        load(HOME).agent_mode = "auto"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        pytest.param("DATABASE_URL", "postgresql://u@h/d", "database_url", "postgresql://u@h/d", id="URL"),
        pytest.param("DATABASE_URL", "host=db dbname=sre", "database_url", "host=db dbname=sre", id="conninfo"),
        pytest.param("OPENAI_API_KEY", " sk-x\n", "openai_api_key", "sk-x", id="space around a value is cut off"),
        pytest.param(
            "OPENAI_BASE_URL", "http://[::1]:8000/v1", "openai_base_url", "http://[::1]:8000/v1", id="base URL"
        ),
        pytest.param("OPENAI_MODEL", "local model", "openai_model", "local model", id="model"),
        pytest.param("AGENT_MODE", "Auto", "agent_mode", "auto", id="mode, whatever the case"),
        pytest.param("CLUSTER_NAME", "prod-eu", "cluster_name", "prod-eu", id="cluster"),
        pytest.param("LOG_LEVEL", "debug", "log_level", "DEBUG", id="log level"),
        pytest.param("SRE_AGENT_DATA_DIR", "/srv/sre", "data_dir", Path("/srv/sre"), id="data directory"),
        pytest.param("XDG_DATA_HOME", "/data", "data_dir", Path("/data/sre-agent"), id="XDG directory"),
        pytest.param(
            "XDG_DATA_HOME", "data", "data_dir", Path("/home/op/.local/share/sre-agent"), id="a relative XDG is ignored"
        ),
        pytest.param("SRE_AGENT_RUNBOOKS_DIR", "/etc/runbooks", "runbooks_dir", Path("/etc/runbooks"), id="runbooks"),
        pytest.param(
            "SRE_AGENT_APPROVE_TOOLS",
            "drain_node, delete_pod,",
            "approve_tools",
            ("drain_node", "delete_pod"),
            id="list",
        ),
        pytest.param(
            "SRE_AGENT_DENY_NAMESPACES", "prod-*,vault", "deny_namespaces", ("prod-*", "vault"), id="patterns"
        ),
        pytest.param("SRE_AGENT_ALLOW_NAMESPACES", "demo", "allow_namespaces", ("demo",), id="allow list"),
        pytest.param("SRE_AGENT_NAMESPACE", "sre", "agent_namespace", "sre", id="own namespace"),
        pytest.param("SRE_AGENT_MONITORING_NAMESPACE", "mon", "monitoring_namespace", "mon", id="monitoring"),
        pytest.param("SRE_AGENT_STOP", "TRUE", "stop", True, id="flag on"),
        pytest.param("SRE_AGENT_STOP", "0", "stop", False, id="flag off"),
        pytest.param("SRE_AGENT_HELM", "recommend", "helm", "recommend", id="helm"),
        pytest.param("SRE_AGENT_SETTLE", "0", "settle", timedelta(0), id="a window of 0 is off"),
        pytest.param("SRE_AGENT_COOLDOWN", "1h30m", "cooldown", timedelta(minutes=90), id="duration"),
        pytest.param("SRE_AGENT_ACTIONS_PER_DAY", "5", "actions_per_day", 5, id="number"),
        pytest.param("SRE_AGENT_HEALTH_FLOOR", "100", "health_floor", 100, id="the largest percentage"),
        pytest.param("SRE_AGENT_MEMORY_CAP", "1e9", "memory_cap", 10**9, id="quantity"),
    ],
)
def test_a_value_of_the_environment_is_read(variable: str, text: str, name: str, value: object) -> None:
    assert getattr(loaded(**{variable: text}), name) == value


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    assert loaded(SRE_AGENT_RUNBOOKS_DIR="~/runbooks").runbooks_dir == Path("/home/op/runbooks")


def test_without_home_the_one_of_the_user_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/other")
    assert load({}).data_dir == Path("/home/other/.local/share/sre-agent")


def test_without_any_home_a_directory_is_asked_for() -> None:
    with pytest.raises(BadInput, match="SRE_AGENT_DATA_DIR: not set, and no home directory is known"):
        load({"HOME": "~"})


def test_an_empty_value_counts_as_unset() -> None:
    settings = loaded(AGENT_MODE="", SRE_AGENT_SETTLE="  ")
    assert (settings.agent_mode, settings.settle) == ("recommend", timedelta(minutes=10))
    assert settings.from_environment == frozenset()


def test_a_cluster_without_a_name_is_shown_as_unknown() -> None:
    settings = load(HOME)
    assert (settings.cluster_name, settings.cluster) == (None, "unknown")
    assert row(settings, "CLUSTER_NAME").value == "unknown"
    assert loaded(CLUSTER_NAME="prod").cluster == "prod"


def test_the_policy_is_read_entry_by_entry() -> None:
    text = "staging-*=auto,prod-*=recommend,*/RB_NODE_NOTREADY=recommend"
    settings = loaded(SRE_AGENT_MODES=text)
    assert settings.modes == (
        PolicyRule(namespace_pattern="staging-*", runbook_pattern=None, mode="auto"),
        PolicyRule(namespace_pattern="prod-*", runbook_pattern=None, mode="recommend"),
        PolicyRule(namespace_pattern="*", runbook_pattern="RB_NODE_NOTREADY", mode="recommend"),
    )
    assert row(settings, "SRE_AGENT_MODES").value == text


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("staging", id="no mode"),
        pytest.param("staging=yolo", id="unknown mode"),
        pytest.param("=auto", id="no namespace"),
        pytest.param("RB_OOM=recommend", id="a runbook without its slash would never match"),
        pytest.param("demo/rb_oom=recommend", id="a runbook in small letters would never match"),
        pytest.param("demo/=auto", id="no runbook"),
        pytest.param("demo = auto", id="space within"),
    ],
)
def test_a_bad_policy_entry_is_refused_with_its_text(entry: str) -> None:
    assert f"the entry {entry!r} is wrong" in refusal(SRE_AGENT_MODES=f"prod-*=recommend,{entry}")


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        pytest.param("DATABASE_URL", "mysql://h/d", "a postgresql:// URL", id="another database"),
        pytest.param("OPENAI_API_KEY", "two words", "a key of printable characters", id="key with a space"),
        pytest.param("OPENAI_BASE_URL", "api.openai.com", "an http:// or https:// URL", id="no scheme"),
        pytest.param("OPENAI_BASE_URL", "http://[::1/v1", "an http:// or https:// URL", id="a broken URL"),
        pytest.param("OPENAI_BASE_URL", "http://u:p@h/v1", "without user and password", id="URL with a user"),
        pytest.param("AGENT_MODE", "yolo", "recommend or auto", id="mode"),
        pytest.param("CLUSTER_NAME", "a\x1b[31mb", "one line of text", id="terminal escape"),
        pytest.param("LOG_LEVEL", "TRACE", "DEBUG or INFO or WARNING or ERROR", id="log level"),
        pytest.param("SRE_AGENT_DATA_DIR", "~nobody-there/x", "a directory", id="home of nobody"),
        pytest.param("SRE_AGENT_APPROVE_TOOLS", ",", "a comma-separated list of names", id="list of nothing"),
        pytest.param("SRE_AGENT_ALLOW_NAMESPACES", "Demo", "a comma-separated list of namespaces", id="capitals"),
        pytest.param("SRE_AGENT_NAMESPACE", "a_b", "the name of a namespace", id="namespace"),
        pytest.param("SRE_AGENT_STOP", "maybe", "on or off", id="flag"),
        pytest.param("SRE_AGENT_HELM", "auto", "act or recommend", id="helm"),
        pytest.param("SRE_AGENT_SETTLE", "10", "a duration such as", id="duration without unit"),
        pytest.param("SRE_AGENT_ACTIONS_PER_DAY", "0", "a whole number from 1 to 100", id="too small"),
        pytest.param("SRE_AGENT_HEALTH_FLOOR", "101", "a whole number from 1 to 100", id="too large"),
        pytest.param("SRE_AGENT_MIN_NODES", "three", "a whole number from 1 to 100000", id="not a number"),
        pytest.param("SRE_AGENT_MIN_NODES", "٣", "a whole number from 1 to 100000", id="digit of another script"),
        pytest.param("SRE_AGENT_MEMORY_CAP", "4GB", "a quantity of bytes", id="not a quantity"),
        pytest.param("SRE_AGENT_MEMORY_FLOOR", "0", "a quantity of bytes", id="no memory at all"),
        pytest.param("SRE_AGENT_MEMORY_CAP", "16E", "a quantity of bytes", id="more than 63 bits"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_is_allowed(variable: str, text: str, allowed: str) -> None:
    message = refusal(**{variable: text})
    assert message.startswith(f"{variable}=")
    assert allowed in message
    assert message.isprintable()


def test_the_value_that_is_refused_is_shown() -> None:
    assert refusal(AGENT_MODE="yolo") == "AGENT_MODE='yolo': allowed is recommend or auto"


def test_all_bad_values_are_named_at_once() -> None:
    message = refusal(AGENT_MODE="yolo", SRE_AGENT_SETTLE="soon", SRE_AGENT_MIN_NODES="-1")
    assert [line.partition("=")[0] for line in message.splitlines()] == [
        "AGENT_MODE",
        "SRE_AGENT_SETTLE",
        "SRE_AGENT_MIN_NODES",
    ]


def test_a_memory_floor_above_the_cap_is_refused() -> None:
    assert refusal(SRE_AGENT_MEMORY_FLOOR="5Gi") == (
        "SRE_AGENT_MEMORY_FLOOR=5Gi: allowed is at most SRE_AGENT_MEMORY_CAP, here 4Gi"
    )
    assert loaded(SRE_AGENT_MEMORY_FLOOR="4Gi").memory_floor == loaded().memory_cap


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"postgresql://sre:{CANARY}@db:5432/sre", "postgresql://sre:***@db:5432/sre", id="in a URL"),
        pytest.param(f"postgres://sre:a/{CANARY}@b@db/sre", "postgres://sre:***@db/sre", id="badly encoded"),
        pytest.param(f"postgres://s/r:{CANARY}@db/sre", "postgres://s/r:***@db/sre", id="a slash in the user"),
        pytest.param(
            f"postgresql://db/sre?sslPassword={CANARY}&user=x",
            "postgresql://db/sre?sslPassword=***&user=x",
            id="in a query",
        ),
        pytest.param(f"host=db password={CANARY} user=x", "host=db password=*** user=x", id="keyword"),
        pytest.param(f"host=db password = 'a {CANARY}' user=x", "host=db password = *** user=x", id="quoted"),
        pytest.param(f"host=db password='a\\' {CANARY}", "host=db password=***", id="quote never closed"),
        pytest.param(f"host=db password=a\\ {CANARY} user=x", "host=db password=*** user=x", id="escaped space"),
        pytest.param(f"host=db password=x://y:{CANARY} user=x", "host=db password=*** user=x", id="looks like a URL"),
        pytest.param("postgresql://db/sre", "postgresql://db/sre", id="nothing to hide"),
    ],
)
def test_the_password_of_the_database_is_never_shown(text: str, shown: str) -> None:
    settings = loaded(DATABASE_URL=text)
    assert settings.database_url == text
    assert row(settings, "DATABASE_URL").value == shown
    assert CANARY not in repr(settings) + repr(describe(settings))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"http://x/v1?api_key={CANARY}", "http://x/v1?api_key=***", id="api_key"),
        pytest.param(f"http://x/v1?a=b&token={CANARY}&c=d", "http://x/v1?a=b&token=***&c=d", id="between others"),
        pytest.param(f"http://x/v1?subscription-key={CANARY}", "http://x/v1?subscription-key=***", id="some key"),
        pytest.param(f"http://x/v1?api%5Fkey={CANARY}", "http://x/v1?api%5Fkey=***", id="an encoded name"),
        pytest.param(f"http://x/v1?code={CANARY};{CANARY}", "http://x/v1?code=***", id="a semicolon in the value"),
        pytest.param(f"http://x/v1#access_token={CANARY}", "http://x/v1#access_token=***", id="behind the #"),
        pytest.param(f"http://x/?v=ghp_{CANARY}0123456789abcdef", "http://x/?v=***", id="a value that looks like one"),
        pytest.param("http://x/v1?api-version=2024-02-01", "http://x/v1?api-version=2024-02-01", id="nothing secret"),
    ],
)
def test_a_secret_in_the_query_of_the_llms_address_is_never_shown(text: str, shown: str) -> None:
    settings = loaded(OPENAI_BASE_URL=text)
    assert settings.openai_base_url == text
    assert row(settings, "OPENAI_BASE_URL").value == shown
    assert CANARY not in repr(settings) + repr(describe(settings))


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        pytest.param("sk-proj-0123456789abcdef", "sk-…cdef", id="a key of OpenAI"),
        pytest.param("0123456789abcdef0123456789", "…6789", id="a key of another server"),
        pytest.param("hunter2", "set", id="a short one shows nothing"),
    ],
)
def test_the_api_key_is_never_shown(key: str, shown: str) -> None:
    settings = loaded(OPENAI_API_KEY=key)
    assert row(settings, "OPENAI_API_KEY") == SettingRow(
        name="OPENAI_API_KEY",
        value=shown,
        origin="environment",
        description="key of the LLM; unset: the scripted planner",
    )
    assert key not in repr(settings) + repr(describe(settings))


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        pytest.param("DATABASE_URL", f"mysql://u:{CANARY}@h/d", id="URL of another database"),
        pytest.param("DATABASE_URL", CANARY, id="only a password"),
        pytest.param("OPENAI_API_KEY", f"{CANARY} {CANARY} {CANARY}…", id="bad key"),
        pytest.param("OPENAI_BASE_URL", f"https://u:{CANARY}@h", id="base URL with a password"),
        pytest.param("OPENAI_BASE_URL", f"ftp://h?api_key={CANARY}", id="URL of another scheme with a key"),
        pytest.param("OPENAI_BASE_URL", f"h/v1?api_key={CANARY}", id="no URL, with a key"),
    ],
)
def test_a_refused_secret_is_not_in_the_message(variable: str, text: str) -> None:
    assert CANARY not in refusal(**{variable: text})


def test_every_setting_is_described_with_its_origin() -> None:
    settings = loaded(AGENT_MODE="auto", SRE_AGENT_STOP="yes", SRE_AGENT_COOLDOWN="5400s")
    rows = describe(settings)
    assert [entry.name for entry in rows] == [entry.variable for entry in SETTINGS]
    assert {entry.name: entry.value for entry in rows if entry.origin == "environment"} == {
        "AGENT_MODE": "auto",
        "SRE_AGENT_STOP": "on",
        "SRE_AGENT_COOLDOWN": "1h30m",
    }


def test_what_is_described_can_be_given_back() -> None:
    settings = loaded(SRE_AGENT_MODES="a=auto", SRE_AGENT_MEMORY_CAP="1500M", SRE_AGENT_DENY_NAMESPACES="x,y-*")
    again = loaded(**{entry.name: entry.value for entry in describe(settings)})
    assert describe(again) == [
        SettingRow(
            name=entry.name,
            value=entry.value,
            origin="environment" if entry.value else "default",
            description=entry.description,
        )
        for entry in describe(settings)
    ]


def test_an_unknown_variable_is_told_with_the_name_it_resembles() -> None:
    settings = loaded(SRE_AGENT_SETLE="5m", SRE_AGENT_BQXJ="1", SRE_AGENTS_X="1", PATH="/bin")
    assert settings.unknown == (
        UnknownVariable(name="SRE_AGENT_BQXJ", nearest=None),
        UnknownVariable(name="SRE_AGENT_SETLE", nearest="SRE_AGENT_SETTLE"),
    )


@pytest.mark.parametrize(
    "variable",
    [
        "SRE_AGENT_SERVICE_HOST",
        "SRE_AGENT_SERVICE_PORT_HTTP",
        "SRE_AGENT_PORT",
        "SRE_AGENT_PORT_8080_TCP_ADDR",
        "SRE_AGENT_TEST_CORPUS",
    ],
)
def test_what_kubernetes_and_the_test_suite_set_is_not_unknown(variable: str) -> None:
    assert loaded(**{variable: "x"}).unknown == ()


@given(st.text(), st.sampled_from([entry.variable for entry in SETTINGS]))
def test_no_value_whatever_raises_anything_but_a_refusal(text: str, variable: str) -> None:
    try:
        settings = load({**HOME, variable: text})
    except BadInput as error:
        message = str(error)
    else:
        message = f"{variable}={row(settings, variable).value}"
    assert message.startswith(f"{variable}=")


def test_an_address_is_read_and_written(subtests: pytest.Subtests) -> None:
    for text, host, port in (
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        ("[::1]:0", "::1", 0),
        ("sre.example:443", "sre.example", 443),
    ):
        with subtests.test(text):
            settings = loaded(SRE_AGENT_LISTEN=text)
            assert settings.listen == Address(host=host, port=port)
            assert row(settings, "SRE_AGENT_LISTEN").value == text


@pytest.mark.parametrize("text", ["8080", ":8080", "::1:8080", "localhost", "localhost:65536", "http://localhost:80"])
def test_an_address_that_nobody_understands_is_refused(text: str) -> None:
    assert "allowed is HOST:PORT" in refusal(SRE_AGENT_LISTEN=text)


@pytest.mark.parametrize(
    ("alone", "missing"),
    [
        ("SRE_AGENT_WEBHOOK_USER", "SRE_AGENT_WEBHOOK_PASSWORD"),
        ("SRE_AGENT_WEBHOOK_PASSWORD", "SRE_AGENT_WEBHOOK_USER"),
        ("SRE_AGENT_TLS_CERT", "SRE_AGENT_TLS_KEY"),
        ("SRE_AGENT_TLS_KEY", "SRE_AGENT_TLS_CERT"),
    ],
)
def test_half_of_what_goes_together_is_refused(alone: str, missing: str) -> None:
    assert f"{missing} is not set" in refusal(**{alone: CANARY})
    assert refusal(SRE_AGENT_WEBHOOK_PASSWORD=CANARY).startswith("SRE_AGENT_WEBHOOK_PASSWORD='set': ")
