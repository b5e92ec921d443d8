"""Counts a run that ended in this process. The server gives it to its worker."""

from sre_agent import metrics
from sre_agent.run import RunRecord


def count_run(record: RunRecord) -> None:
    """The run by its result, its steps by theirs, and every judgement by its rule."""
    metrics.RUNS.add(record.runbook_id, record.status.value)
    for step in record.steps:
        metrics.STEPS.add(step.tool, step.status.value)
        for judgement in step.judgements:
            metrics.VERDICTS.add(judgement.rule, judgement.verdict.name.lower())
