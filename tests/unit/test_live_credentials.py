"""Where the agent's credentials come from, when they are read again, and what becomes of them when they cannot be."""

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sre_agent.cluster.live import credentials
from sre_agent.cluster.live.access import _proxy, load_access
from sre_agent.cluster.live.credentials import Credential, Credentials, NoCredential, fixed, plugin, token_file


def spec(script: str, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", script],
        **fields,
    }


def counting(*given: Credential | NoCredential) -> tuple[Credentials, list[int]]:
    """Credentials whose source gives one after the other; the last one stays."""
    asked, left = [0], list(given)

    async def source() -> Credential:
        asked[0] += 1
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, NoCredential):
            raise found
        return found

    return Credentials(source, every=False), asked


def ending(seconds: float) -> Credential:
    return Credential(token="t", expires=datetime.now(UTC) + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        pytest.param(ending(3600), 1, id="it lives long"),
        pytest.param(Credential(token="t"), 1, id="nobody says how long it lives"),
        pytest.param(ending(5), 2, id="it ends soon"),
        pytest.param(ending(-5), 2, id="it has ended"),
    ],
)
async def test_a_plugin_is_asked_again_before_its_credential_ends(
    monkeypatch: pytest.MonkeyPatch, given: Credential, asked: int
) -> None:
    monkeypatch.setattr(credentials, "DOUBT_SECONDS", -1)
    held, count = counting(given, ending(3600))
    await held.load()
    await held.renewed()
    assert count == [asked]


async def test_many_at_once_ask_a_plugin_once() -> None:
    held, count = counting(Credential(token="t"))
    await asyncio.gather(*(held.renewed() for _ in range(20)))
    assert count == [1]


async def test_what_was_read_last_stays_where_it_cannot_be_read_again(caplog: pytest.LogCaptureFixture) -> None:
    held, count = counting(Credential(token="first"), NoCredential("no session"))
    await held.load()
    assert not held.doubt(), "it is young"
    held._read_at -= credentials.DOUBT_SECONDS
    assert held.doubt()
    assert (await held.renewed()).token == "first"
    assert count == [2]
    assert "cluster.credentials_not_renewed" in caplog.text


async def test_a_plugin_is_told_what_it_is_asked_and_gets_its_environment(tmp_path: Path) -> None:
    script = (
        "import json, os; info = json.loads(os.environ['KUBERNETES_EXEC_INFO']);"
        "print(json.dumps({'kind': info['kind'], 'status': {'token': os.environ['PROFILE'],"
        " 'expirationTimestamp': '2030-01-01T00:00:00Z'}}))"
    )
    found = await plugin(spec(script, env=[{"name": "PROFILE", "value": "staging"}]), tmp_path)()
    assert (found.token, found.expires) == ("staging", datetime(2030, 1, 1, tzinfo=UTC))


async def test_a_plugin_beside_the_kubeconfig_is_found(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "login"
    program.parent.mkdir()
    said = {"kind": "ExecCredential", "status": {"clientCertificateData": "C", "clientKeyData": "K"}}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
    program.chmod(0o700)
    found = await plugin({"command": f"bin{os.sep}login"}, tmp_path)()
    assert (found.token, found.certificate, found.key) == (None, "C", "K")


async def test_a_plugin_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "PLUGIN_SECONDS", 1.0)
    script = f"import os, time; open({str(tmp_path / 'id')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(NoCredential, match="did not answer within"):
        await plugin(spec(script), tmp_path)()
    if (tmp_path / "id").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "id").read_text()), 0)


async def test_a_plugin_that_talks_much_is_heard_to_the_end(tmp_path: Path) -> None:
    script = (
        'import sys; sys.stderr.write(\'x\' * 300_000);print(\'{"kind": "ExecCredential", "status": {"token": "t"}}\')'
    )
    assert (await plugin(spec(script), tmp_path)()).token == "t"


async def test_no_message_of_a_plugin_holds_its_token(tmp_path: Path) -> None:
    script = "import sys; print('{\"token\": \"eyJhbGciOi.secret.token\"}'); sys.exit('Bearer eyJhbGciOi.secret.token')"
    with pytest.raises(NoCredential) as raised:
        await plugin(spec(script), tmp_path)()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("text", ["", " \n", "two words", "snowman ☃", "bell \x07", "\udcff"])
async def test_what_cannot_be_a_token_is_refused_before_it_is_sent(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(NoCredential, match=r"empty|garbled|it is no text"):
        await token_file(path)()


async def test_a_line_break_after_a_token_is_not_part_of_it() -> None:
    assert (await fixed("abc\n")()).token == "abc"
    assert (await fixed(None)()).token is None


@pytest.mark.parametrize(
    ("server", "left_out", "proxied"),
    [
        pytest.param("https://api.example:6443", "", True, id="outside"),
        pytest.param("https://api.example:6443", "example", False, id="a domain"),
        pytest.param("https://10.96.0.1", "10.0.0.0/8", False, id="a network"),
        pytest.param("https://10.96.0.1", "10.0.0.0/16,x", True, id="another network"),
        pytest.param("https://10.96.0.1", "10.96.0.1", False, id="an address"),
        pytest.param("https://[::1]:6443", "", False, id="loopback"),
        pytest.param("https://127.0.0.1:6443", "", False, id="loopback of old"),
        pytest.param("https://localhost:6443", "", False, id="localhost"),
        pytest.param("http://api.example", "", False, id="no proxy for http"),
    ],
)
def test_a_proxy_is_used_where_kubectl_would_use_it(
    monkeypatch: pytest.MonkeyPatch, server: str, left_out: str, proxied: bool
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", left_out)
    assert _proxy(server) == ("http://proxy.example:3128" if proxied else None)


async def test_a_password_in_the_address_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://user:secret@host:6443/k8s"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert (await load_access()).server == "https://host:6443/k8s"


async def test_renewing_takes_no_longer_than_the_call_that_needs_it(tmp_path: Path) -> None:
    held = Credentials(plugin(spec("import time; time.sleep(60)"), tmp_path), every=False)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await held.renewed()
    assert time.monotonic() - began < 30
