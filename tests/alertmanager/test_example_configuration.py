"""k8s/monitoring/alertmanager.yaml: what a user copies is what Alertmanager takes and what the server is."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from sre_agent.web.app import ROUTES

CONFIGURATION = Path(__file__).parents[2] / "k8s" / "monitoring" / "alertmanager.yaml"


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not on PATH (Debian: prometheus-alertmanager)")
def test_alertmanager_takes_it() -> None:
    checked = subprocess.run(["amtool", "check-config", str(CONFIGURATION)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_leads_to_the_webhook_and_loses_nothing() -> None:
    receivers = yaml.safe_load(CONFIGURATION.read_text())["receivers"]
    (webhook,) = next(each for each in receivers if each["name"] == "sre-agent")["webhook_configs"]
    assert ("POST", urlsplit(webhook["url"]).path) in {(route.method, route.path) for route in ROUTES}
    assert (webhook["send_resolved"], webhook["max_alerts"]) == (True, 0)
