"""A sample of a log's rows with all columns, read without a schema."""

from __future__ import annotations

import pyarrow as pa

from ....foundation.formatting import first_line
from ...config.errors import UserError
from .layout import LogLayout
from .readers import make_reader
from .tf_examples import simplify_table


def read_sample(layout: LogLayout, rows: int, parts: int) -> tuple[int, pa.Table]:
    """Reads about ``rows`` rows from groups that are spread over a log.

    Args:
      layout: The log.
      rows: Approximate number of rows to read.
      parts: Smallest number of groups to read from, if the log has as many.

    Returns:
      The number of rows of the log, and the sample.

    Raises:
      UserError: If the log has no rows, cannot be read, or has files whose column types contradict each other.
    """
    reader = make_reader(layout, None)
    groups = [(file, i, n) for file in layout.files for i, n in enumerate(reader.group_rows(file)) if n]
    if not groups:
        raise UserError("the log has no rows; name a log with rows")
    total_rows = sum(group_rows for *_, group_rows in groups)
    # If the groups are small, more of them are needed for the requested number of rows.
    num_needed = -(-rows * len(groups) // total_rows)
    parts = min(max(parts, num_needed), len(groups))
    places = sorted({round(i * (len(groups) - 1) / max(parts - 1, 1)) for i in range(parts)})
    tables = [reader.read_table(*groups[place][:2]).slice(0, -(-rows // len(places))) for place in places]
    try:
        sample = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(
            f"the files have different types for the same column: {first_line(error)}; write all files with the same types"
        ) from error
    return total_rows, simplify_table(sample, layout.column_metadata) if layout.format == "tfrecord" else sample
