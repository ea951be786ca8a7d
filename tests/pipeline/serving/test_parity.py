"""The export predicts what the trained ranker predicts.

It does so in a process that can import TensorFlow but not steadyrank, and for odd values of each kind of feature: a row
that a log's reader, the ranker and the ranker's metrics see has the same prediction when a client sends the raw values.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.models import Feature, MultitaskRanker, Schema, Statistics, Task
from steadyrank.pipeline.data.columns import decode_columns
from steadyrank.pipeline.data.files.arrow_columns import convert_table
from steadyrank.pipeline.data.open import open_source
from steadyrank.pipeline.data.schema_inference.number_columns import propose_number_column
from steadyrank.pipeline.serving import export_ranker
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


AGES = pa.array([20.0, 35.5, 60.0])
INF, NAN = float("inf"), float("nan")
NUMBERS = (0.1, -0.0, 5e-324, 2.0**53 + 1, 1e15, -1e15)
IDS = (None, -1, 0, 4, 5, 2**31, 2**63 - 1, -(2**63))
WORDS = (None, "", "de", "DE", " de", "de\0\0", "é", "e\u0301", b"\xff\xfe", b"d\0e", "[UNK]", "a" * 1024)
ID_BAGS = (None, [], [1], [-1, 2, 3], [None, 4], [1, 1, 1], [1, 2, 3, 4, 5], [9, -7, 2**63 - 1])
WORD_BAGS = (None, [], ["de"], ["", "fr", "de"], [None, "fr"], ["de", "fr", "de", "é"], [b"\xff", "de\0", "x"])
UNBOUNDED_NAN = (None, NAN, INF, -INF, 1e30, -3e38, 1e39)


def number(name: str, **arguments) -> Feature:
    return Feature(name, "numerical", **arguments)


def ids(name: str, kind="categorical", **arguments) -> Feature:
    return Feature(name, kind, embedding_width=3, **arguments)


# Each feature, the type of its column in the log, a usual value, values to try, and values whose outputs are NaN.
MATRIX = [
    (number("plain", normalization="none"), pa.float64(), 0.5, NUMBERS, UNBOUNDED_NAN),
    (number("standard"), pa.float32(), 0.5, (0.1, -7.25), (None, NAN, INF)),
    (number("log", normalization="log"), pa.int64(), 3, (0, -5, 2**53 + 1, 2**63 - 1, -(2**63)), (None,)),
    (number("log_float", normalization="log"), pa.float64(), 3.0, (*NUMBERS, 1e30, -3e38), (None, NAN, INF, 1e39)),
    (number("default", default=2.0), pa.float64(), 0.5, (*NUMBERS, None, NAN), (INF, -INF, 1e30)),
    (number("bounded", minimum=-4.0, maximum=5.5), pa.float64(), 0.5, (INF, -INF, 1e30, -1e30, 1e39, 6.0), (None, NAN)),
    (number("minimum", minimum=-4.0), pa.float64(), 0.5, (-INF, -1e30, -1e39), (INF, 1e30)),
    (number("both", default=9.0, maximum=5.0), pa.float64(), 0.5, (None, NAN, INF, 1e30), (-INF,)),
    (number("boolean", default=0.0), pa.bool_(), True, (False, None), ()),
    (propose_number_column("age", AGES, "").feature, pa.float64(), 30.0, (1e30, -1e30, INF), (None,)),
    (
        number("vector", width=2, minimum=-9.0, maximum=9.0),
        pa.list_(pa.float64()),
        [0.5, 1.0],
        ([INF, 1e30], [-1e39, 1.0]),
        (None, [1.0, None], [NAN, 1.0]),
    ),
    (ids("range", num_ids=5), pa.int64(), 1, IDS, ()),
    (ids("known", vocabulary=(4, 2**31, -(2**63))), pa.int64(), 4, IDS, ()),
    (ids("hashed", hash_buckets=50), pa.int64(), 1, IDS, ()),
    (ids("unsigned", hash_buckets=50), pa.uint64(), 1, (None, 0, 2**63, 2**64 - 1), ()),
    (ids("small", num_ids=5), pa.int8(), 1, (None, -1, 4, 5, 127), ()),
    (ids("from_float", num_ids=5), pa.float64(), 1.0, (None, NAN, INF, 4.0, -1.0), ()),
    (ids("word", dtype="string", vocabulary=("de", "é", "[UNK]")), pa.binary(), "de", WORDS, ()),
    (ids("hashed_word", dtype="string", hash_buckets=50), pa.binary(), "de", WORDS, ()),
    (
        ids("dictionary", dtype="string", vocabulary=("de",)),
        pa.dictionary(pa.int8(), pa.string()),
        "de",
        (None, "", "x", "de"),
        (),
    ),
    (ids("bag", "bag", width=3, num_ids=5), pa.list_(pa.int64()), [1, 2], ID_BAGS, ()),
    (ids("sum", "bag", width=2, hash_buckets=50, combiner="sum"), pa.list_(pa.int32()), [1], ID_BAGS[:-1], ()),
    (ids("words", "bag", dtype="string", width=2, hash_buckets=50), pa.list_(pa.binary()), ["de"], WORD_BAGS, ()),
    (
        ids("shared", "bag", dtype="string", width=1, vocabulary=("de",)),
        pa.list_(pa.string()),
        ["de"],
        ([], ["x", "de"]),
        (),
    ),
]


def as_sent(feature: Feature, values: list) -> tf.Tensor:
    """Converts raw values to an input of the signature, as docs/serving.md asks of a client."""
    if feature.kind == "numerical":
        rows = [value if isinstance(value, list) else [value] * feature.width for value in values]
        numbers = np.array([[NAN if x is None else float(x) for x in row] for row in rows])
        with np.errstate(over="ignore"):
            return tf.constant(numbers.astype(np.float32).reshape(-1, *feature.shape))
    rows = [value if isinstance(value, list) else [value] for value in values]
    if feature.kind == "bag":
        rows = [value or [] for value in values]
    length = max(map(len, rows))
    if feature.dtype == "string":
        return tf.reshape(
            tf.constant([["" if x is None else x for x in row] + [""] * (length - len(row)) for row in rows]),
            (-1, *((length,) if feature.kind == "bag" else ())),
        )
    # Unsigned ids keep their bits.
    known = [[-1 if x is None or not np.isfinite(x) else (int(x) + 2**63) % 2**64 - 2**63 for x in row] for row in rows]
    padded = tf.constant([row + [-1] * (length - len(row)) for row in known], tf.int64)
    return padded if feature.kind == "bag" else padded[:, 0]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """A ranker, its signature, each row's feature and value, the rows as read and as sent, and which of them are NaN."""
    schema = Schema(tuple(feature for feature, *_ in MATRIX), (Task("click", "binary"), Task("minutes", "regression")))
    usual = {feature.name: value for feature, _, value, *_ in MATRIX}
    rows, changes, is_nan = [usual], ["usual"], [False]
    for feature, _, _, values, nan_values in MATRIX:
        for value in (*values, *nan_values):
            rows.append(usual | {feature.name: value})
            changes.append(f"{feature.name}={value!r}")
        is_nan += [False] * len(values) + [True] * len(nan_values)
    normalized = [f for f in schema.features if f.kind == "numerical" and f.normalization != "none"]
    statistics = Statistics(
        {f.name: np.full(f.width, 0.25, np.float32) for f in normalized},
        {f.name: np.full(f.width, 1.5, np.float32) for f in normalized},
    )
    tf_keras.utils.set_random_seed(0)
    ranker = MultitaskRanker(schema, statistics, shared_units=(16,), tower_units=(8,))
    for variable in ranker.trainable_variables:
        if "embeddings" in variable.name:
            # Makes one id differ visibly from another.
            variable.assign(variable * 20)
    columns = {f.name: pa.array([row[f.name] for row in rows], kind) for f, kind, *_ in MATRIX}
    table = pa.table(columns | {task.label: pa.nulls(len(rows)) for task in schema.tasks})
    read = decode_columns(convert_table(table, schema, "log.parquet")[0])
    sent = {f.name: as_sent(f, [row[f.name] for row in rows]) for f in schema.features}
    loaded = tf.saved_model.load(str(export_ranker(ranker, tmp_path_factory.mktemp("matrix"))))
    return ranker, loaded.signatures["serving_default"], changes, read, sent, np.array(is_nan)


def assert_equal_predictions(changes, ours, theirs):
    for task, values in theirs.items():
        different = ~np.isclose(ours[task], values, rtol=1e-6, atol=1e-6, equal_nan=True)
        assert not different.any(), [
            (task, change, float(a), float(b))
            for change, a, b, differs in zip(changes, ours[task].numpy(), values.numpy(), different, strict=True)
            if differs
        ]


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_raw_value_is_served_like_the_value_that_training_reads(matrix, mode):
    ranker, serve, changes, read, sent, is_nan = matrix
    trained = (ranker if mode == "eager" else tf.function(ranker.call))(read)
    served = serve(**sent)
    assert_equal_predictions(changes, served, trained)
    for task, values in served.items():
        wrong = np.isnan(values) != is_nan
        assert not wrong.any(), (task, [change for change, is_wrong in zip(changes, wrong, strict=True) if is_wrong])


def test_a_row_is_served_alone_like_among_others(matrix):
    _, serve, changes, _, sent, _ = matrix
    alone = [serve(**{name: column[i : i + 1] for name, column in sent.items()}) for i in range(len(changes))]
    together = {task: tf.concat([row[task] for row in alone], axis=0) for task in alone[0]}
    assert_equal_predictions(changes, together, serve(**sent))


def test_values_beyond_the_bounds_are_served_like_the_bounds(matrix):
    _, serve, changes, _, sent, _ = matrix
    minimum, maximum = MATRIX[[f.name for f, *_ in MATRIX].index("age")][0].bounds
    predictions = dict(zip(changes, serve(**sent)["minutes"].numpy().tolist(), strict=True))
    usual = {name: column[:1] for name, column in sent.items()}
    at_maximum, at_minimum = (
        float(serve(**usual | {"age": tf.constant([bound], tf.float32)})["minutes"][0]) for bound in (maximum, minimum)
    )
    assert predictions["age=1e+30"] == predictions["age=inf"] == pytest.approx(at_maximum, rel=1e-6)
    assert predictions["age=-1e+30"] == pytest.approx(at_minimum, rel=1e-6)
    assert len({predictions["usual"], at_maximum, at_minimum}) == 3


def test_a_bag_is_served_by_its_first_values(matrix):
    _, serve, changes, _, sent, _ = matrix
    predictions = dict(zip(changes, serve(**sent)["minutes"].numpy().tolist(), strict=True))
    usual = {name: column[:1] for name, column in sent.items()}
    first_three = serve(**usual | {"bag": tf.constant([[1, 2, 3]], tf.int64)})["minutes"][0]
    assert predictions["bag=[1, 2, 3, 4, 5]"] == pytest.approx(float(first_three), rel=1e-6)
    assert abs(predictions["bag=[1, 2, 3, 4, 5]"] - predictions["bag=[1]"]) > 1e-3
