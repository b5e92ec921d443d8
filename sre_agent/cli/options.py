"""Options that several commands have."""

from typing import Annotated, Literal

import typer

PlannerOption = Annotated[
    Literal["scripted", "llm"] | None, typer.Option(help="Who proposes tool calls; default: the LLM, if set up.")
]

AuthorOption = Annotated[
    Literal["composed", "llm"] | None, typer.Option("--planner", help="Who writes; default: the LLM, if set up.")
]
