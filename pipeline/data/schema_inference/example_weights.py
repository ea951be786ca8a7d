"""Makes the column with the weights of the rows the ``example_weight`` of the proposed tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from .column_proposal import ColumnProposal


def set_example_weight(proposals: Iterable[ColumnProposal]) -> list[ColumnProposal]:
    """Returns the proposals with the weight column, if there is exactly one, in every task.

    A weight is about the row, so all tasks get it. Several weight columns are left out, because only the user knows which
    one applies.

    Args:
      proposals: The proposals for all columns.
    """
    proposals = list(proposals)
    weights = [proposal.name for proposal in proposals if proposal.is_weight and not proposal.is_excluded]
    chosen = weights[0] if len(weights) == 1 else ""
    reason = (
        f"several columns may be the weight of a row: {', '.join(weights)}. Set example_weight of the tasks to one."
    )
    return [
        dataclasses.replace(proposal, task=dataclasses.replace(proposal.task, example_weight=chosen))
        if proposal.task
        else proposal.exclude(reason)
        if len(weights) > 1 and proposal.name in weights
        else proposal
        for proposal in proposals
    ]
