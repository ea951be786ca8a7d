"""The log that the tests of this folder read: its schema, its rows, and how to find rows in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

SCHEMA = """
features:
- {name: age, kind: numerical, default: 30}
- {name: price, kind: numerical, column: the.price}
- {name: user, kind: categorical, hash_buckets: 100}
- {name: country, kind: categorical, dtype: string, vocabulary: [de, fr]}
- {name: history, kind: bag, width: 3, num_ids: 50}
- {name: scores, kind: numerical, width: 2}
tasks:
- {name: click, kind: binary}
- {name: minutes, kind: regression, mask: answered}
"""


def make_table(rows: int, first: int = 0, **replaced: pa.Array) -> pa.Table:
    """Returns rows whose user ids are their numbers, with missing values; ``replaced`` gives columns by name."""
    n = np.arange(first, first + rows)
    columns = {
        "age": pa.array([None if i % 7 == 0 else float(i) for i in n], pa.float64()),
        "the.price": pa.array(n * 0.5, pa.float32()),
        "user": pa.array(n, pa.int64()),
        "country": pa.array([None if i % 5 == 0 else "de" if i % 2 else "pl" for i in n]),
        "history": pa.array([None if i % 6 == 0 else list(range(i % 5)) for i in n], pa.list_(pa.int32())),
        "scores": pa.array([[i, -i] for i in n.tolist()], pa.list_(pa.float64(), 2)),
        "click": pa.array(n % 2 == 0),
        "minutes": pa.array(n * 1.0),
        "answered": pa.array([i % 3 == 0 for i in n]),
        "not used": pa.array(["x"] * rows),
    }
    return pa.table(columns | replaced)


def list_user_ids(batches: Iterable[Mapping], name: str = "user") -> list[int]:
    """Returns the ids of the rows that have a label, in the order of the batches."""
    ids = []
    for batch in batches:
        has_label = ~np.isnan(batch["click"].numpy())
        ids += batch[name].numpy()[has_label].tolist()
    return ids
