"""`sre-agent tui`: opens the on-call browser on the database, or on a server."""

from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sre_agent.settings import Settings
    from sre_agent.tui.source import Source

EPILOG = """\b
Examples:
  sre-agent tui
  sre-agent tui --id 42 --theme light
  sre-agent tui --url http://127.0.0.1:8080 --token-file token
  kubectl -n agentic port-forward deploy/sre-agent 8080"""
LARGEST_ID = 2**63 - 1
LONGEST_TOKEN = 4096
FIRST_SECONDS = 3.0
"""So long a server is waited for before the screen is taken."""


def tui(
    incident_id: Annotated[
        int | None, typer.Option("--id", help="Open this incident.", metavar="ID", min=1, max=LARGEST_ID)
    ] = None,
    url: Annotated[str | None, typer.Option(help="A server instead of the database.", metavar="URL")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Where its API token stands; else SRE_AGENT_API_TOKEN.", metavar="PATH"),
    ] = None,
    theme: Annotated[str | None, typer.Option(help="dark, light, or a theme of Textual.", metavar="NAME")] = None,
) -> int:
    """Browse incidents: what happened, what was done, what is next.

    Keys stand in the last line, ? shows all of them. NO_COLOR is honoured.
    """
    import asyncio
    import os
    import signal
    import sys

    from sre_agent import log
    from sre_agent.cli.output import load_settings
    from sre_agent.errors import BadInput

    drawn_on = sys.stdin.isatty() and sys.stderr.isatty()  # Textual draws on stderr
    if not drawn_on or os.environ.get("TERM") == "dumb":
        raise BadInput("the on-call browser needs a terminal that can draw; `sre-agent incidents` and `show` do not")
    if token_file is not None and url is None:
        raise BadInput("--token-file goes with --url: a database needs no API token")
    settings = load_settings(usual_level="ERROR")
    # Under nohup, too, it ends with its terminal instead of reading nothing for ever.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with Path(os.devnull).open("w") as nowhere:
        log.configure("ERROR", json_lines=False, stream=nowhere)  # the screen is not to be written over
        return asyncio.run(_browse(settings, incident_id, url, token_file, theme))


async def _browse(
    settings: "Settings", incident_id: int | None, url: str | None, token_file: Path | None, theme: str | None
) -> int:
    from sre_agent.cli.serving import now
    from sre_agent.tui.app import OnCall, theme_named

    named = theme_named(theme)
    async with _source(settings, url, token_file) as source:
        app = OnCall(source, clock=now, theme=named, incident_id=incident_id)
        await app.run_async()
        return app.return_code or 0


@asynccontextmanager
async def _source(settings: "Settings", url: str | None, token_file: Path | None) -> "AsyncIterator[Source]":
    import asyncio

    from sre_agent import agent
    from sre_agent.cli.incidents import user
    from sre_agent.cli.serving import now, stored_in
    from sre_agent.errors import Unreachable

    if url is not None:
        from sre_agent.tui.server import ServerSource

        async with ServerSource.open(_checked(url), _token(settings, token_file)) as server:
            # One that lets nobody in is said before the screen is taken; one that is away or slow may come.
            with suppress(Unreachable, TimeoutError):
                async with asyncio.timeout(FIRST_SECONDS):
                    await server.status()
            yield server
        return
    from sre_agent.tui.database import DatabaseSource

    runbooks, fault = agent.load_what_works(settings)
    async with agent.open_desk(settings) as (store, author):
        yield DatabaseSource(
            store,
            settings=settings,
            runbooks=runbooks,
            fault=fault,
            place=stored_in(settings),
            by=user(),
            clock=now,
            author=author,
        )


def _checked(url: str) -> str:
    from sre_agent.errors import BadInput
    from sre_agent.settings.kinds import BASE_URL

    try:
        checked: str = BASE_URL.parse(url)
    except ValueError:
        raise BadInput(f"--url: allowed is {BASE_URL.allowed}") from None
    return checked


def _token(settings: "Settings", token_file: Path | None) -> str | None:
    """The operators' token, or the viewers': with that one the server lets nobody act."""
    from sre_agent.errors import BadInput

    if token_file is None:
        return settings.api_token or settings.viewer_token
    try:
        with token_file.open(encoding="ascii") as file:
            token = file.read(LONGEST_TOKEN).strip()
    except (OSError, ValueError) as error:
        raise BadInput(f"--token-file {token_file} cannot be read: {error}") from None
    if not token or any(char.isspace() for char in token):
        raise BadInput(f"--token-file {token_file} holds no token: one word is expected")
    return token
