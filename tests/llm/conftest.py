"""No proxy of the user stands between these tests and loopback."""

import pytest

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *(name.lower() for name in PROXIES), "OPENAI_LOG", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
