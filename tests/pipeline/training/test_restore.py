from __future__ import annotations

import numpy as np
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.training.restore import restore_ranker
from steadyrank.pipeline.training.run_directory import RunDirectory
from tests.pipeline.training.small_runs import SCHEMA, SmallRun


def test_the_newest_checkpoint_is_restored_from_the_folder_alone(tmp_path):
    directory = RunDirectory(tmp_path)
    run = SmallRun(directory.checkpoints)
    directory.claim(run.config, SCHEMA)
    run.train()
    ranker, step = restore_ranker(directory)
    assert step == 16
    for weight, expected in zip(ranker.trainable_variables, run.ranker.trainable_variables, strict=True):
        assert np.array_equal(weight, expected)


def test_a_run_without_checkpoints_cannot_be_restored(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.claim(SmallRun(directory.checkpoints).config, SCHEMA)
    with pytest.raises(UserError, match="holds no checkpoint yet; train first"):
        restore_ranker(directory)


def test_a_folder_without_a_run_cannot_be_restored(tmp_path):
    with pytest.raises(UserError, match=r"holds no run: it has no config\.yaml"):
        restore_ranker(RunDirectory(tmp_path))
