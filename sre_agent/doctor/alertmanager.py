"""Alertmanager, where the agent is to ask it: without an answer no change would be made."""

from sre_agent.doctor.finding import Finding
from sre_agent.settings import Settings


async def check_alertmanager(settings: Settings) -> list[Finding]:
    """One finding, none where SRE_AGENT_ALERTMANAGER_URL is not set."""
    if settings.alertmanager_url is None:
        return []
    from sre_agent.alertmanager import why_unreachable  # an HTTP client, which is not asked for without the setting

    why = await why_unreachable(settings)
    if why is not None:
        return [Finding.failed("alertmanager", why, "without its answer nothing is changed")]
    return [Finding.ok("alertmanager", f"answers at {settings.alertmanager_url}")]
