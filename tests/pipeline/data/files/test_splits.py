from __future__ import annotations

import pytest

from steadyrank.pipeline.data.files.splits import find_mixed_splits


@pytest.mark.parametrize(
    "names",
    [
        ("split=train/a.parquet", "split=validation/a.parquet"),
        ("train/a.parquet", "test/a.parquet"),
        ("Training/a.parquet", "Dev/a.parquet"),
        ("day=1/train.parquet", "day=1/test.parquet"),
        ("train-00000-of-00002.parquet", "validation-00000-of-00001.parquet"),
        ("shop-train.tfrecord-00000-of-00001", "shop-test.tfrecord-00000-of-00001"),
    ],
)
def test_training_and_test_data_are_found(names):
    assert len(find_mixed_splits(names)) == 2


@pytest.mark.parametrize(
    "names",
    [
        ("train/a.parquet", "train/b.parquet"),
        ("split=0-train/shop-train.parquet", "split=1-test/shop-test.parquet"),
        ("day=1/ab-test-1.parquet", "day=1/ab-test-2.parquet"),
        ("eval/a.parquet", "test/a.parquet"),
        ("latest.parquet", "trainer.parquet", "testimony.parquet"),
    ],
)
def test_other_names_are_not(names):
    assert find_mixed_splits(names) == []
