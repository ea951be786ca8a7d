"""Learns from the first rows of a log what the ranker must know before it trains."""

from __future__ import annotations

import numpy as np

from ...models.statistics import Statistics, signed_log
from .source import Source


def learn_statistics(source: Source, rows: int) -> Statistics:
    """Means and deviations over the first ``rows`` rows of the log's first day.

    Values that are not finite are left out. A feature that does not vary in these rows gets the deviation 1, so that it
    passes unscaled should it begin to vary; one without any finite value gets mean 0 as well.
    """
    blocks, got = [], 0
    for index, in_block in enumerate(source.block_rows(0)):
        if got >= rows:
            break
        blocks.append({name: column[: rows - got] for name, column in source.block(0, index).items()})
        got += in_block
    mean, deviation, label_mean = {}, {}, {}
    for feature in source.schema.features:
        if feature.kind != "numerical" or feature.normalization == "none":
            continue
        values = np.concatenate([block[feature.name] for block in blocks]).astype(np.float64).reshape(-1, feature.width)
        values = np.where(np.isfinite(values), values, np.nan)
        if feature.normalization == "log":
            values = signed_log(values)
        mean[feature.name], deviation[feature.name] = _moments(values)
    for task in source.schema.tasks:
        labels = np.concatenate([block[task.label_column] for block in blocks]).astype(np.float64)
        labels = labels[np.isfinite(labels)]
        if len(labels):
            label_mean[task.name] = float(labels.mean())
    return Statistics(mean, deviation, label_mean)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    there = np.isfinite(values)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0).sum(axis=0) / count
    deviation = np.sqrt(np.where(there, np.square(values - mean), 0).sum(axis=0) / count)
    # Below this share of the mean, what varies is rounding.
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    return mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32)
