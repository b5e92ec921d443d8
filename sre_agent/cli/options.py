"""Options that several commands have."""

from typing import Annotated, Literal

import typer

PlannerOption = Annotated[
    Literal["scripted", "llm"] | None, typer.Option(help="Who proposes tool calls; default: the LLM, if set up.")
]

AuthorOption = Annotated[
    Literal["composed", "llm"] | None, typer.Option("--planner", help="Who writes; default: the LLM, if set up.")
]

LARGEST_ID = 2**63 - 1
IncidentId = Annotated[int, typer.Argument(help="The incident.", metavar="ID", min=1, max=LARGEST_ID)]

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
ContextOption = Annotated[str | None, typer.Option("--context", help="The kubeconfig's context.", metavar="NAME")]
