"""The export predicts what the trained ranker predicts, in a process that can import TensorFlow but not steadyrank."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from steadyrank.pipeline.data.open import open_source
from steadyrank.pipeline.training.restore import restore_ranker
from steadyrank.pipeline.training.run_directory import RunDirectory

# Runs isolated (-I), without the environment and the current folder. The hidden packages cannot be imported.
SERVER = """
import sys

HIDDEN = ("steadyrank", "tensorflow_recommenders", "tf_keras")

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
export, rows, out = sys.argv[1:]
import numpy as np
import tensorflow as tf

serve = tf.saved_model.load(export).signatures["serving_default"]
columns = dict(np.load(rows))
predicted = {}
for count in (1, 1000):
    some = {name: tf.constant(column[:count]) for name, column in columns.items()}
    for task, values in serve(**some).items():
        predicted[f"{task}/{count}"] = values.numpy()
np.savez(out, **predicted)
assert not [name for name in sys.modules if name.partition(".")[0] in HIDDEN]
"""


def assert_parity(model_dir: Path, folder: Path) -> None:
    run = RunDirectory(model_dir)
    config = run.read_config()
    source = open_source(config.data)
    block = source.block(len(source.days) - 1, 0)
    columns = {feature.name: block[feature.name][:1000] for feature in source.schema.features}
    # Adds values that may be absent from training: unknown values, empty strings, empty bags.
    for feature in source.schema.features:
        if feature.kind == "numerical":
            continue
        column = columns[feature.name] = columns[feature.name].copy()
        column[0] = b"" if feature.dtype == "string" else -1
        column[7] = b"new" if feature.dtype == "string" else 2**40
    np.savez(folder / "rows.npz", **columns)

    [export] = (model_dir / "export").iterdir()
    served = subprocess.run(
        [sys.executable, "-I", "-c", SERVER, str(export), str(folder / "rows.npz"), str(folder / "out.npz")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert served.returncode == 0, served.stderr
    predicted = np.load(folder / "out.npz")

    ranker, _ = restore_ranker(run)
    for count in (1, 1000):
        trained = ranker({name: column[:count] for name, column in columns.items()})
        assert {f"{task}/{count}" for task in trained} <= set(predicted)
        for task, values in trained.items():
            got = predicted[f"{task}/{count}"]
            assert got.shape == (count,)
            np.testing.assert_allclose(got, values.numpy(), rtol=1e-6, atol=1e-6, err_msg=f"{task}, {count} rows")
    # The prediction for a row does not depend on the other rows of the request.
    for task in trained:
        np.testing.assert_allclose(predicted[f"{task}/1"], predicted[f"{task}/1000"][:1], rtol=1e-6, atol=1e-6)


def test_the_export_of_a_simulated_run_equals_the_ranker(finished, tmp_path):
    assert_parity(finished, tmp_path)


def test_the_export_of_a_movielens_run_equals_the_ranker(train, movielens_dir, tmp_path):
    small = (
        "--config=movielens",
        f"--config.data.movielens.data_dir={movielens_dir}",
        "--config.data.movielens.periods=40",
        "--config.data.holdout_days=34",
        "--config.training.evaluation_rows=256",
    )
    ran = train(tmp_path / "run", small=small)
    assert ran.returncode == 0, ran.stderr
    assert_parity(tmp_path / "run", tmp_path)


def test_the_export_contains_no_optimizer_state(finished):
    [export] = (finished / "export").iterdir()
    # The checkpoint also contains accumulators, which double its size.
    weights = (export / "variables" / "variables.data-00000-of-00001").stat().st_size
    checkpoint = (finished / "checkpoints" / "ckpt-64.data-00000-of-00001").stat().st_size
    assert weights < 0.6 * checkpoint


@pytest.mark.parametrize("kind", ["labels", "outputs"])
def test_the_signature_follows_the_schema(finished, kind):
    import tensorflow as tf

    run = RunDirectory(finished)
    schema = open_source(run.read_config().data).schema
    [export] = run.export.iterdir()
    signature = tf.saved_model.load(str(export)).signatures["serving_default"]
    if kind == "outputs":
        assert set(signature.structured_outputs) == {task.name for task in schema.tasks}
        return
    specs = signature.structured_input_signature[1]
    assert set(specs) == {feature.name for feature in schema.features}
    for feature in schema.features:
        assert specs[feature.name].dtype == feature.dtype
        inner = [None] if feature.kind == "bag" else list(feature.shape)
        assert specs[feature.name].shape.as_list() == [None, *inner]
