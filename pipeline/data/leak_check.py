"""Checks the training days of a log for features that alone predict a label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .checks.leaks import LeakReport, find_leaks
from .source import Source

# Blocks from which the sample is taken, at least, because a leak may begin on a later day.
_MIN_BLOCKS = 8


def check_leaks(source: Source, days: Sequence[int], rows: int) -> LeakReport:
    """Searches a sample of a log for features that alone predict a task; see :func:`.checks.leaks.find_leaks`.

    The sampled blocks are spread over the days. The same log always gives the same sample.

    Args:
      source: The log.
      days: Positions of the days to sample.
      rows: Approximate number of rows to sample; 0 for no check.
    """
    blocks = [(day, index, n) for day in days for index, n in enumerate(source.block_rows(day)) if n]
    if not rows or not blocks:
        return LeakReport(0, (), {})
    num_needed = -(-rows * len(blocks) // sum(n for *_, n in blocks))
    num_sampled = min(max(num_needed, _MIN_BLOCKS), len(blocks))
    places = np.linspace(0, len(blocks) - 1, num_sampled).round().astype(int).tolist()
    sample = []
    for place in places:
        day, index, _ = blocks[place]
        columns, _ = source.read_block(day, index)
        sample.append({name: column[: -(-rows // num_sampled)] for name, column in columns.items()})
    return find_leaks(sample, source.schema)
