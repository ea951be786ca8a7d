from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steadyrank.models import Schema
from steadyrank.pipeline.config import read
from steadyrank.pipeline.data.schema_inference import format_proposal, propose_schema


def test_the_yaml_file_reads_back_as_the_proposed_schema(shop_log, tmp_path):
    proposal = propose_schema(str(shop_log))
    path = tmp_path / "schema.yaml"
    path.write_text(format_proposal(proposal, str(shop_log)))
    assert read(Schema, path) == proposal.schema


def test_comments_say_what_each_column_holds_and_why_it_is_left_out(shop_log):
    lines = format_proposal(propose_schema(str(shop_log)), "shop.parquet").splitlines()
    assert lines[0] == "# Proposed schema for shop.parquet (4,000 rows), based on a sample of 4,000 rows."
    assert lines[lines.index("  - name: weekday") - 1] == "  # integers from 0 to 6, median 3, 7 different values"
    assert "not finite" in lines[lines.index("  - name: Age__years_") - 1]
    reason = lines.index("# left out: a timestamp. Rows at serving time are later than every row in training.")
    assert lines[reason - 1].startswith("# event.time: integers from ")


def test_without_labels_the_file_says_how_to_name_them(tmp_path):
    path = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"a": np.arange(100.0)}), path)
    assert "no label was found: name the columns to predict with --labels" in format_proposal(
        propose_schema(str(path)), "plain.parquet"
    )


def test_without_features_the_list_is_empty(tmp_path):
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"click": [0, 1] * 50}), path)
    assert "features:\n  []  # no column that a ranker can read was found\n" in format_proposal(
        propose_schema(str(path)), "labels.parquet"
    )
