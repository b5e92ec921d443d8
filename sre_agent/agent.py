"""Builds store, planner and runbooks once. The only place that picks an implementation.

Called by every command that runs or shows something. Importing it does no work.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sre_agent import embedded_postgres, lint
from sre_agent.analysis import Author, ComposedAuthor
from sre_agent.cluster.port import Cluster
from sre_agent.errors import BadInput, Unreachable
from sre_agent.planner.port import Planner
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.resources import data_path
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.shelf import RunbookShelf
from sre_agent.store import Store
from sre_agent.store.migrations import migrate, require_current
from sre_agent.tools.registry import TOOLS

if TYPE_CHECKING:
    from sre_agent.cluster.live import LiveCluster
    from sre_agent.investigation import Investigator

POSTGRES_DIRECTORY = "postgres"
SERVING_CONNECTIONS = 8
"""To the database, beside those of the queue: requests and runs share them."""
KUBECONFIG = Path("~/.kube/config")


@dataclass(frozen=True, kw_only=True, slots=True)
class Minds:
    """Who proposes tool calls and who writes analyses. With a language model it is asked for both.

    Without one, calls are scripted and analyses composed. `investigator` looks into alerts that no runbook covers,
    where that is wanted.
    """

    planner: Planner
    author: Author = field(default_factory=ComposedAuthor)
    investigator: "Investigator | None" = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """What every run is given."""

    store: Store
    minds: Minds
    runbooks: Runbooks
    settings: Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What a serving process holds. `runbooks` says which are current; `place` is the cluster in words.

    `database` is the conninfo that leads to the store.
    """

    store: Store
    minds: Minds
    runbooks: Callable[[], Runbooks]
    cluster: Cluster
    place: str
    settings: Settings
    database: str


def require_shared_database(settings: Settings) -> None:
    """Raises Unreachable in a pod without DATABASE_URL: two replicas with two stores would be two budgets."""
    if settings.database_url is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise Unreachable(
            "DATABASE_URL is not set: in a cluster every replica must use the same PostgreSQL, and an embedded one is "
            "nobody else's; set DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Yields the conninfo of DATABASE_URL, or of the embedded PostgreSQL, which runs while anybody uses it.

    Raises Unreachable with what was tried.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_postgres.running(settings.data_dir / POSTGRES_DIRECTORY) as conninfo:
        yield conninfo


@asynccontextmanager
async def open_agent(settings: Settings, *, runbooks: Runbooks) -> AsyncIterator[Agent]:
    """Opens what a run is given. Raises Unreachable with what was tried."""
    async with open_store(settings) as store, _open_minds(settings, store) as minds:
        yield Agent(store=store, minds=minds, runbooks=runbooks, settings=settings)


@asynccontextmanager
async def _open_minds(settings: Settings, store: Store) -> AsyncIterator[Minds]:
    """The language model, where one is set up and wanted. Raises BadInput for a prompt that cannot be used."""
    if not settings.asks_model:
        yield Minds(planner=ScriptedPlanner())
        return
    from sre_agent.analysis.model_author import ModelAuthor
    from sre_agent.investigation import Investigator
    from sre_agent.llm.client import OpenAIModel
    from sre_agent.llm.prompts import load_prompts
    from sre_agent.planner.guided import GuidedPlanner

    prompts = load_prompts(settings.prompts_dir)
    async with aclosing(OpenAIModel(settings, store)) as model:
        seconds, hides = settings.llm_time_per_step.total_seconds(), settings.hide_emails
        investigator = Investigator(model, prompts, seconds=seconds, hide_emails=hides)
        yield Minds(
            planner=GuidedPlanner(model, prompts, seconds=seconds, hide_emails=hides),
            author=ModelAuthor(model, prompts, hide_emails=hides),
            investigator=investigator if settings.investigate else None,
        )


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[tuple[Store, Author]]:
    """The store, and who writes analyses: for whoever runs nothing. Raises Unreachable, BadInput for a prompt."""
    async with open_store(settings) as store, _open_minds(settings, store) as minds:
        yield store, minds.author


@asynccontextmanager
async def open_service(
    settings: Settings, *, runbooks: Callable[[], Runbooks], cluster: Cluster, place: str, migrating: bool
) -> AsyncIterator[Service]:
    """Opens what a serving process holds. Raises Unreachable where the database is away, or its schema is not current.

    `migrating`: whether a schema that is not current is made so.
    """
    with database(settings) as conninfo:
        await _prepare(conninfo, migrating=migrating or settings.database_url is None)
        async with (
            Store.open(conninfo, max_size=SERVING_CONNECTIONS) as store,
            _open_minds(settings, store) as minds,
        ):
            yield Service(
                store=store,
                minds=minds,
                runbooks=runbooks,
                cluster=cluster,
                place=place,
                settings=settings,
                database=conninfo,
            )


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Opens the store on a current schema: the embedded one is migrated, another one must be already."""
    with database(settings) as conninfo:
        await _prepare(conninfo, migrating=settings.database_url is None)
        async with Store.open(conninfo) as store:
            yield store


async def _prepare(conninfo: str, *, migrating: bool) -> None:
    if migrating:
        await migrate(conninfo)
    else:
        await require_current(conninfo)


@asynccontextmanager
async def open_live_cluster(context: str | None, *, probing: bool = True) -> "AsyncIterator[LiveCluster]":
    """The cluster of a kubeconfig context, else of the pod or the current context. Raises Unreachable.

    Without `probing` one that does not answer is opened, too: each question to it says so.
    """
    from sre_agent.cluster.live import open_cluster  # a second of imports that only a live cluster is worth

    async with open_cluster(context, probing=probing) as cluster:
        yield cluster


def cluster_configured(context: str | None) -> bool:
    """Whether anything says where a live cluster is: a context, KUBECONFIG, a pod, or the default kubeconfig."""
    told = any(os.environ.get(name) for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"))
    return context is not None or told or KUBECONFIG.expanduser().exists()


def load_runbooks(settings: Settings, users: Path | None = None) -> Runbooks:
    """The shipped runbooks and the user's own, linted. Raises BadInput with every fault."""
    return lint.load(data_path("runbooks"), users or settings.runbooks_dir, tools=TOOLS)


def load_what_works(settings: Settings) -> tuple[Runbooks, str | None]:
    """The same, for whoever only looks: where the user's own have a fault, the shipped ones alone, and the fault."""
    try:
        return load_runbooks(settings), None
    except BadInput as error:
        return lint.load(data_path("runbooks"), None, tools=TOOLS), str(error)


def open_shelf(settings: Settings, clock: Callable[[], datetime]) -> RunbookShelf:
    """The runbooks of a process that lives long. Raises BadInput with every fault; later ones leave the old alone."""
    return RunbookShelf(data_path("runbooks"), settings.runbooks_dir, tools=TOOLS, clock=clock)


def check_settings(settings: Settings) -> None:
    """What settings alone cannot check: names that other rooms know, files that are read later. Raises BadInput."""
    if settings.planner == "llm" and not settings.has_model:
        raise BadInput(
            "the planner is llm (--planner, SRE_AGENT_PLANNER), but there is no model: set OPENAI_API_KEY, or "
            "OPENAI_BASE_URL for a server that needs no key"
        )
    if settings.asks_model:
        from sre_agent.llm.prompts import load_prompts

        load_prompts(settings.prompts_dir)
    unknown = [tool for tool in settings.approve_tools if tool not in TOOLS]
    if unknown:
        raise BadInput(
            f"SRE_AGENT_APPROVE_TOOLS={','.join(settings.approve_tools)}: there is no tool {', '.join(unknown)}; "
            f"allowed: {', '.join(sorted(TOOLS))}"
        )
