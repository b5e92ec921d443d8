"""No way into the cluster: each a sentence that says what to do, exit code 3, and no credential in it."""

import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sre_agent.cli.main import run
from sre_agent.cluster.live import access, open_cluster, wire
from sre_agent.cluster.live.access import load_access
from sre_agent.errors import Unreachable
from sre_agent.resources import data_path
from tests.cluster.conftest import TOKEN, Api, Config
from tests.control_plane.certificates import make_authority

Spoil = Callable[[Config, Path], None]


def cluster_of(config: Config) -> Config:
    found: Config = config["clusters"][0]["cluster"]
    return found


def user_of(config: Config) -> Config:
    found: Config = config["users"][0]["user"]
    return found


def _set(part: Callable[[Config], Config], **values: Any) -> Spoil:
    def spoil(config: Config, _: Path) -> None:
        found = part(config)
        found.pop("token", None) if "exec" in values else None
        found.update({key.replace("_", "-"): value for key, value in values.items()})

    return spoil


def _closed_port(config: Config, _: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        cluster_of(config)["server"] = f"https://127.0.0.1:{listening.getsockname()[1]}"


def _plain_http(config: Config, _: Path) -> None:
    cluster_of(config)["server"] = cluster_of(config)["server"].replace("https", "http")


def _other_authority(config: Config, directory: Path) -> None:
    cluster_of(config)["certificate-authority"] = str(make_authority(directory, "other"))


def _no_pem(config: Config, directory: Path) -> None:
    (directory / "garbage.crt").write_text("this is no certificate")
    cluster_of(config)["certificate-authority"] = str(directory / "garbage.crt")


def _plugin(script: str, **fields: Any) -> Spoil:
    """The user's exec plugin is this Python program."""

    def spoil(config: Config, directory: Path) -> None:
        path = directory / "plugin.py"
        path.write_text(script)
        spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": [str(path)]}
        config["users"][0]["user"] = {"exec": {**spec, **fields}}

    return spoil


WEATHER = [
    pytest.param(_set(cluster_of, server="https://no-such-host.invalid:6443"), "no-such-host.invalid", id="DNS"),
    pytest.param(_closed_port, "refused|Connect call failed", id="refused"),
    pytest.param(_set(cluster_of, server="127.0.0.1:6443"), "no https:// address", id="no scheme"),
    pytest.param(_plain_http, "cannot be used", id="plain HTTP on the TLS port"),
    pytest.param(_other_authority, "certificate verify failed", id="wrong CA"),
    pytest.param(_no_pem, "not readable as PEM", id="a CA that is no certificate"),
    pytest.param(_set(cluster_of, certificate_authority="absent.crt"), "files that they name", id="absent CA"),
    pytest.param(_set(cluster_of, tls_server_name="other.example"), "Hostname mismatch|not valid for", id="wrong name"),
    pytest.param(_set(cluster_of, proxy_url="socks5://127.0.0.1:1"), "proxy-url", id="a proxy that is not HTTP"),
    pytest.param(_set(cluster_of, proxy_url="http://127.0.0.1:1"), "cannot be reached", id="no such proxy"),
    pytest.param(_set(user_of, token="expired"), "renew the token, or log in again", id="expired token"),
    pytest.param(_set(user_of, token="two\nlines"), "garbled", id="garbled token"),
    pytest.param(_set(user_of, tokenFile="absent"), "absent cannot be read: No such file", id="no token file"),
    pytest.param(_set(user_of, **{"as": "root"}), "acts as another one", id="impersonation"),
    pytest.param(_set(lambda c: c, **{"current-context": "prod"}), "no context prod.*one of: staging", id="no context"),
    pytest.param(_set(lambda c: c, users=[]), "names user agent, which is not there", id="no user"),
    pytest.param(_set(lambda c: c, clusters=[]), "names cluster staging, which is not there", id="no cluster"),
    pytest.param(_set(lambda c: c, clusters="x"), r"clusters\[0\] is no cluster", id="clusters of another shape"),
    pytest.param(_plugin("raise SystemExit('no session')"), "failed with code 1: no session", id="plugin fails"),
    pytest.param(_plugin("print('hello')"), "did not print an ExecCredential", id="plugin prints rubbish"),
    pytest.param(_plugin('print(\'{"kind": "ExecCredential", "status": {}}\')'), "neither a token nor", id="no token"),
    pytest.param(
        _plugin("", command="no-such-plugin", installHint="get it at the store"),
        "no-such-plugin is not there: get it at the store",
        id="plugin missing",
    ),
    pytest.param(_plugin("", interactiveMode="Always"), "asks a person", id="plugin that asks"),
]


@pytest.mark.parametrize(("spoil", "words"), WEATHER)
async def test_whoever_cannot_be_let_in_is_told_why(
    config: Config,
    use: Callable[[Config | str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spoil: Spoil,
    words: str,
) -> None:
    quick(monkeypatch)
    spoil(config, tmp_path)
    use(config)
    with pytest.raises(Unreachable, match=words) as raised:
        async with open_cluster():
            pass
    assert TOKEN not in str(raised.value) + caplog.text


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sre_agent.cluster.live.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("sre_agent.cluster.live.LONGEST_PAUSE", 0.02)


FILES = [
    pytest.param("", "no current context is set in .*; it holds none at all", id="empty"),
    pytest.param("- a\n- b\n", "is not a kubeconfig", id="a list"),
    pytest.param(f"users: [{{token: {TOKEN}", "is not valid YAML", id="broken YAML"),
    pytest.param(f"users:\n- token: {TOKEN}\n", "no current context|users.0. is no user", id="no names"),
    pytest.param("\x00", "not valid YAML", id="binary"),
]


@pytest.mark.parametrize(("content", "words"), FILES)
async def test_a_file_that_is_no_kubeconfig_is_named_and_not_quoted(
    use: Callable[[Config | str], Path], content: str, words: str
) -> None:
    path = use(content)
    with pytest.raises(Unreachable, match=words) as raised:
        await load_access()
    assert str(path) in str(raised.value)
    assert TOKEN not in str(raised.value)


async def test_without_any_kubeconfig_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(Unreachable, match=r"there is no kubeconfig at .*absent; set KUBECONFIG"):
        await load_access()


async def test_an_unroutable_server_is_given_up(
    config: Config, use: Callable[[Config | str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.1)
    cluster_of(config)["server"] = "https://192.0.2.1:6443"
    use(config)
    with pytest.raises(Unreachable, match=r"192\.0\.2\.1:6443 cannot be reached"):
        async with open_cluster():
            pass


async def test_an_api_server_without_policy_v1_evictions_is_refused(
    api: type[Api], config: Config, use: Callable[[Config | str], Path]
) -> None:
    api.served = ({"name": "pods/eviction", "group": "policy", "version": "v1beta1"},)
    use(config)
    with pytest.raises(Unreachable, match=r"no policy/v1 evictions; Kubernetes 1.22"):
        async with open_cluster():
            pass


@pytest.mark.parametrize(
    "spoil", [pytest.param(_closed_port, id="refused"), pytest.param(_set(user_of, token="expired"), id="expired")]
)
def test_the_command_line_ends_with_3_and_nothing_is_stored(
    config: Config,
    use: Callable[[Config | str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Spoil,
) -> None:
    quick(monkeypatch)
    monkeypatch.setenv("SRE_AGENT_DATA_DIR", str(tmp_path / "data"))
    spoil(config, tmp_path)
    use(config)
    payload = tmp_path / "payload.json"
    shutil.copy(data_path("examples") / "oom-killed" / "payload.json", payload)
    assert run(["replay", str(payload), "--live", "--assume-firing"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "context staging" in told.err
    assert TOKEN not in told.err
    assert not (tmp_path / "data").exists()


async def test_the_first_file_says_the_current_context(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl does: the agent must not act on another cluster than `kubectl` there would."""
    (tmp_path / "first").write_text(yaml.safe_dump(config))
    other = {**config, "current-context": "prod", "contexts": [{**config["contexts"][0], "name": "prod"}]}
    (tmp_path / "second").write_text(yaml.safe_dump(other))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert (await load_access()).context == "staging"
    assert (await load_access("prod")).context == "prod"


@pytest.mark.parametrize("where", ["kubeconfig", "pod"])
async def test_a_rotated_token_is_used_without_a_failed_read(
    api: type[Api],
    authority: Path,
    config: Config,
    use: Callable[[Config | str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    quick(monkeypatch)
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(f"{TOKEN}\n")
    shutil.copy(authority / "ca.crt", account / "ca.crt")
    if where == "pod":
        host, port = api.address.split(":")
        monkeypatch.setattr(access, "SERVICE_ACCOUNT", account)
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    else:
        config["users"][0]["user"] = {"tokenFile": str(account / "token"), "token": "old"}
        use(config)
    monkeypatch.setattr("sre_agent.cluster.live.credentials.RENEW_SECONDS", 0)
    async with open_cluster() as cluster:
        (account / "token").write_text("the-next-one")
        api.accepted = ("the-next-one",)
        await cluster.probe()
    assert api.seen == [TOKEN, "the-next-one"]


async def test_a_token_that_was_revoked_early_is_read_again_at_once(
    api: type[Api],
    config: Config,
    use: Callable[[Config | str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick(monkeypatch)
    (tmp_path / "token").write_text(TOKEN)
    config["users"][0]["user"] = {"tokenFile": "token"}
    use(config)
    monkeypatch.setattr("sre_agent.cluster.live.credentials.DOUBT_SECONDS", 0)
    async with open_cluster() as cluster:
        (tmp_path / "token").write_text("the-next-one")
        api.accepted = ("the-next-one",)
        await cluster.probe()
    assert api.seen == [TOKEN, TOKEN, "the-next-one"]


async def test_an_exec_plugin_lets_the_agent_in(
    api: type[Api], config: Config, use: Callable[[Config | str], Path], tmp_path: Path
) -> None:
    said = {"kind": "ExecCredential", "status": {"token": TOKEN}}
    _plugin(f"print({json.dumps(said)!r})")(config, tmp_path)
    use(config)
    async with open_cluster() as cluster:
        await cluster.probe()
    assert api.seen == [TOKEN, TOKEN]


async def test_a_netrc_that_names_the_server_does_not_get_in_the_way(
    api: type[Api], config: Config, use: Callable[[Config | str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    use(config)
    async with open_cluster():
        pass
    assert api.seen == [TOKEN]
