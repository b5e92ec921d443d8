"""Alertmanager, where the agent is to ask it: without an answer no change would be made."""

from datetime import UTC, datetime

from sre_agent.alert import Alert, AlertStatus
from sre_agent.alert.standing import AlertState
from sre_agent.doctor.finding import Finding
from sre_agent.settings import Settings


async def check_alertmanager(settings: Settings) -> list[Finding]:
    """One finding, none where SRE_AGENT_ALERTMANAGER_URL is not set. Asks about an alert that nobody sends."""
    if settings.alertmanager_url is None:
        return []
    from sre_agent.alertmanager import ask  # an HTTP client, which is not asked for without the setting

    standing = await ask(_nobodys_alert(datetime.now(UTC)), settings)
    if standing.state is AlertState.UNKNOWN:
        return [Finding.failed("alertmanager", standing.detail, "without its answer nothing is changed")]
    return [Finding.ok("alertmanager", f"answers at {settings.alertmanager_url}")]


def _nobodys_alert(now: datetime) -> Alert:
    return Alert(
        index=0,
        status=AlertStatus.FIRING,
        labels={"alertname": "SreAgentDoctor"},
        annotations={},
        starts_at=now,
        ends_at=None,
        fingerprint="",
        generator_url="",
        group_key=None,
    )
