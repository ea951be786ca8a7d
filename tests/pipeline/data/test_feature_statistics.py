from __future__ import annotations

import numpy as np
import pytest

from steadyrank.models import Feature, MultitaskRanker, Schema, Task
from steadyrank.pipeline.data import Source
from steadyrank.pipeline.data import feature_statistics as module
from steadyrank.pipeline.data.feature_statistics import compute_statistics


class Table(Source):
    """One day with the given columns, in blocks of two rows."""

    days = ("day",)

    def __init__(self, schema: Schema, **columns):
        self.schema = schema
        self._columns = {name: np.asarray(values, np.float32) for name, values in columns.items()}

    def block_rows(self, day):
        return [2] * (len(next(iter(self._columns.values()))) // 2)

    def block(self, day, index):
        return {name: values[2 * index : 2 * index + 2] for name, values in self._columns.items()}


def compute(normalization="standard", width=1, rows=100, labels=(0, 0, 0, 1), kind="binary", **columns):
    schema = Schema((Feature("x", "numerical", width=width, normalization=normalization),), (Task("t", kind),))
    return compute_statistics(Table(schema, t=labels, **columns), rows).statistics


def test_mean_and_deviation_match_values_computed_by_hand():
    statistics = compute(x=[1, 3, 5, 7])
    np.testing.assert_allclose(statistics.mean["x"], [4.0])
    np.testing.assert_allclose(statistics.deviation["x"], [np.sqrt(5.0)])
    assert statistics.label_mean == {"t": 0.25}


def test_components_of_a_vector_have_their_own_statistics():
    statistics = compute(x=[[0, 10], [2, 30], [0, 10], [2, 30]], width=2)
    np.testing.assert_allclose(statistics.mean["x"], [1.0, 20.0])
    np.testing.assert_allclose(statistics.deviation["x"], [1.0, 10.0])


def test_log_features_are_transformed_first():
    e = np.e - 1
    statistics = compute("log", x=[e, -e, e, -e])
    np.testing.assert_allclose(statistics.mean["x"], [0.0], atol=1e-7)
    np.testing.assert_allclose(statistics.deviation["x"], [1.0], rtol=1e-6)


def test_only_the_first_rows_are_read():
    assert compute(x=[1, 3, 100, 100], rows=2).mean["x"] == [2.0]
    assert compute(x=[1, 3, 5, 100], rows=3).mean["x"] == [3.0]


def test_values_that_are_not_finite_are_left_out():
    statistics = compute(x=[1, np.nan, 3, np.inf], labels=[np.nan, 1, 0, np.nan])
    np.testing.assert_allclose(statistics.mean["x"], [2.0])
    np.testing.assert_allclose(statistics.deviation["x"], [1.0])
    assert statistics.label_mean == {"t": 0.5}


def test_a_constant_feature_passes_unscaled():
    assert compute(x=[0, 0, 0, 0]).deviation["x"] == [1.0]
    assert compute(x=[1e6, 1e6, 1e6, 1e6]).deviation["x"] == [1.0]
    without_values = compute(x=[np.nan] * 4)
    assert (without_values.mean["x"], without_values.deviation["x"]) == ([0.0], [1.0])


def test_a_task_without_labels_has_no_mean():
    assert compute(x=[1, 2, 3, 4], labels=[np.nan] * 4, kind="regression").label_mean == {}


WORDS = Schema(
    (
        Feature("word", "categorical", dtype="string", vocabulary_size=3),
        Feature("words", "bag", dtype="string", width=2, vocabulary_size=3, table="word"),
        Feature("id", "categorical", vocabulary_size=2),
    ),
    (Task("t", "binary"),),
)


class TestVocabularies:
    def source(self):
        class Words(Source):
            schema = WORDS
            days = ("a", "b")

            def block_rows(self, day):
                return [4]

            def block(self, day, index):
                return {
                    "word": np.array([b"x", b"y", b"", b"late"] if day == 0 else [b"late", b"late", b"z", b"y"]),
                    "words": np.array([[b"y", b""]] * 4),
                    "id": np.array([7, 7, -1, 9] if day == 0 else [9, 9, 5, 7]),
                    "t": np.zeros(4, np.float32),
                }

        return Words()

    def test_vocabularies_hold_the_most_frequent_values_and_ties_in_their_order(self):
        learned_schema = compute_statistics(self.source(), rows=1, days=(0, 1)).schema
        by_name = {feature.name: feature for feature in learned_schema.features}
        # y occurs 2 times, and 8 times in the bags that share the table; late 3 times; x and z once.
        assert by_name["word"].vocabulary == by_name["words"].vocabulary == ("y", "late", "x")
        assert by_name["id"].vocabulary == (7, 9)
        assert not any(feature.vocabulary_size for feature in learned_schema.features)

    def test_only_the_given_days_count(self):
        by_name = {
            feature.name: feature for feature in compute_statistics(self.source(), rows=0, days=(0,)).schema.features
        }
        assert by_name["word"].vocabulary == ("y", "late", "x")
        assert by_name["id"].vocabulary == (7, 9)

    def test_the_table_of_counts_stays_small_and_keeps_frequent_values(self, monkeypatch):
        monkeypatch.setattr(module, "_MIN_COUNTED", 64)
        counts = module._ValueCounts(4)
        rng = np.random.default_rng(0)
        for _ in range(200):
            rare = rng.integers(1000, 10**9, 50)
            counts.add(np.concatenate([rare, np.repeat([1, 2, 3, 4], [40, 30, 20, 10])]))
            assert len(counts._counts) <= 64 + 54
        assert counts.most_frequent() == [1, 2, 3, 4]

    def test_values_that_are_not_utf_8_are_left_out_of_the_vocabulary(self):
        schema = Schema((Feature("word", "categorical", dtype="string", vocabulary_size=9),), (Task("t", "binary"),))

        class Bytes(Source):
            days = ("a",)

            def block_rows(self, day):
                return [3]

            def block(self, day, index):
                return {"word": np.array([b"x", b"caf\xe9", b"caf\xe9"]), "t": np.zeros(3, np.float32)}

        source = Bytes()
        source.schema = schema
        learned_schema = compute_statistics(source, 0).schema
        assert learned_schema.features[0].vocabulary == ("x",)
        MultitaskRanker(learned_schema, shared_units=())

    def test_a_ranker_needs_the_vocabularies_first(self):
        with pytest.raises(ValueError, match=r"has a vocabulary_size \(3\) but no vocabulary yet"):
            MultitaskRanker(WORDS)
        MultitaskRanker(compute_statistics(self.source(), 0).schema, shared_units=())


def test_the_mean_of_a_weighted_label_is_weighted_and_the_features_are_not():
    tasks = (Task("t", "binary", example_weight="w"), Task("u", "binary", example_weight="v"))
    columns = {"x": [1, 3, 5, 7], "t.label": [1, 0, np.nan, 1], "w": [2e-6, 6e-6, 9, 2e-6]}
    columns |= {"u.label": [1, 0, 1, 0], "v": [0, np.nan, 0, 0]}
    statistics = compute_statistics(Table(Schema((Feature("x", "numerical"),), tasks), **columns), 100).statistics
    assert statistics.label_mean == pytest.approx({"t": 0.4})
    np.testing.assert_allclose(statistics.mean["x"], [4.0])
