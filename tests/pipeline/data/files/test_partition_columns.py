from __future__ import annotations

import pyarrow as pa

from steadyrank.pipeline.data.files.partition_columns import PartitionColumns

TABLE = pa.table({"click": [0, 1]})


def read(*values: str | None, string_columns: tuple[str, ...] = ()) -> pa.Array:
    partitions = {str(i): {"key": value} for i, value in enumerate(values)}
    return PartitionColumns(partitions, string_columns).add_to(TABLE, "0", 2)["key"]


def test_the_type_fits_all_values_of_the_log():
    assert read("05", "17").to_pylist() == [5, 5]
    assert read("05", "1.5").to_pylist() == [5.0, 5.0]
    assert read("05", "DE").to_pylist() == ["05", "05"]
    assert read("05", "17", string_columns=("key",)).to_pylist() == ["05", "05"]
    assert read("9" * 19, "1").to_pylist() == [float("9" * 19)] * 2
    assert read(None, "17").type == pa.int64()
    assert read(None, "17").null_count == 2


def test_a_column_of_the_file_is_kept():
    table = pa.table({"key": ["from the file"]})
    assert PartitionColumns({"a": {"key": "x"}}).add_to(table, "a", 1)["key"].to_pylist() == ["from the file"]


def test_only_the_named_columns_are_added():
    columns = PartitionColumns({"a": {"x": "1", "y": "2"}}, columns=["y"])
    assert columns.add_to(TABLE, "a", 2).column_names == ["click", "y"]
    assert columns.types("a") == {"y": "int64"}
    assert columns.add_to(pa.table({}), "a", 3).to_pydict() == {"y": [2, 2, 2]}
    assert columns.add_to(TABLE, "another", 2) is TABLE
