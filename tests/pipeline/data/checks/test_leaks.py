"""A leak is found and named with its number; an honest strong feature is not."""

from __future__ import annotations

import numpy as np
import pytest

from steadyrank.foundation.auc import exact_auc
from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.data.checks.leaks import LeakReport, find_leaks
from steadyrank.pipeline.data.columns import DictionaryColumn

ROWS = 8000
RNG = np.random.default_rng(0)
CLICK = (RNG.random(ROWS) < 0.2).astype(np.float32)
NUMBER = Feature("x", "numerical", default=0.0)
ID = Feature("x", "categorical", hash_buckets=16)


def check(feature: Feature, values, label=CLICK, task: Task | None = None) -> LeakReport:
    task = task or Task("click", "binary")
    return find_leaks([{"x": values, task.label_column: label}], Schema((feature,), (task,)))


def float32(values) -> np.ndarray:
    return np.asarray(values, np.float32)


def encode_words(words: np.ndarray) -> DictionaryColumn:
    values, indices = np.unique(words, return_inverse=True)
    return DictionaryColumn(np.append(values, b""), indices.astype(np.int32))


LEAKS = {
    "a noisy copy": (NUMBER, float32(CLICK + RNG.normal(0, 0.1, ROWS)), "auc"),
    "a reversed copy": (NUMBER, float32(-CLICK), "auc"),
    "an amount that is zero without a click": (NUMBER, float32(CLICK * RNG.gamma(2, 5, ROWS)), "auc"),
    "an amount that is missing without a click": (
        NUMBER,
        float32(np.where(CLICK, RNG.normal(size=ROWS), np.nan)),
        "auc",
    ),
    "an amount that is missing with a click": (NUMBER, float32(np.where(CLICK, np.nan, RNG.normal(size=ROWS))), "auc"),
    "a number whose middle is a click": (NUMBER, float32(np.where(CLICK, 0.5, RNG.choice([-3.0, 4.0], ROWS))), "auc"),
    "an amount of half of the clicks": (
        NUMBER,
        float32(np.where(CLICK * (RNG.random(ROWS) < 0.5), RNG.normal(size=ROWS), np.nan)),
        "share",
    ),
    "a nonzero amount of half of the clicks": (NUMBER, float32(CLICK * (RNG.random(ROWS) < 0.5) * 9.5), "share"),
    "an id that exists with a click only": (ID, np.where(CLICK, RNG.integers(0, 2000, ROWS), -1), "auc"),
    "a status": (
        Feature("x", "categorical", dtype="string", hash_buckets=16),
        encode_words(np.where(CLICK, RNG.choice([b"won", b"paid"], ROWS), RNG.choice([b"seen", b"new"], ROWS))),
        "auc",
    ),
    "a vector of which one number is a copy": (
        Feature("x", "numerical", width=3),
        float32(np.stack([RNG.normal(size=ROWS), RNG.normal(size=ROWS), CLICK], axis=1)),
        "auc",
    ),
    "a bag that is filled by a click": (
        Feature("x", "bag", num_ids=10, width=2),
        np.where(CLICK[:, None] > 0, RNG.integers(0, 10, (ROWS, 2)), -1),
        "auc",
    ),
    "a bag that holds the outcome": (
        Feature("x", "bag", num_ids=10, width=2),
        np.stack([RNG.integers(0, 10, ROWS), np.where(CLICK, 20, 21)], axis=1),
        "auc",
    ),
    "a bag with an item of half of the clicks": (
        Feature("x", "bag", num_ids=30, width=3),
        np.column_stack(
            [RNG.integers(0, 10, (ROWS, 2)), np.where(CLICK * (RNG.random(ROWS) < 0.5), 20, RNG.integers(0, 10, ROWS))]
        ),
        "share",
    ),
    "a status of a tenth of the clicks": (
        Feature("x", "categorical", dtype="string", hash_buckets=16),
        encode_words(
            np.where(CLICK * (RNG.random(ROWS) < 0.1), b"refunded", RNG.choice([b"seen", b"new", b"old"], ROWS))
        ),
        "share",
    ),
    "an hour of half of the clicks, else -1": (
        NUMBER,
        float32(np.where(CLICK * (RNG.random(ROWS) < 0.5), RNG.integers(0, 24, ROWS), -1)),
        "share",
    ),
    "a reason of half of the clicks, else a word": (
        Feature("x", "categorical", dtype="string", hash_buckets=16),
        encode_words(
            np.where(
                CLICK * (RNG.random(ROWS) < 0.5), np.char.mod("r%d", RNG.integers(0, 500, ROWS)).astype("S"), b"none"
            )
        ),
        "share",
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_found_with_its_number(name):
    feature, values, measure = LEAKS[name]
    [leak] = check(feature, values).leaks
    assert (leak.feature, leak.task, leak.measure) == ("x", "click", measure)
    assert leak.value > (0.98 if measure == "auc" else 0.99)
    assert f"{leak.value:.4f}" in str(leak) or f"{leak.value:.2%}" in str(leak)


def test_the_value_of_a_leak_is_named():
    bag = np.stack([np.where(CLICK, 7, 3), np.full(ROWS, 7)], axis=1)
    bag[CLICK == 0, 1] = 4
    bag[::2] = 3
    count = int(CLICK[1::2].sum())
    [leak] = check(Feature("x", "bag", num_ids=10, width=2), bag).leaks
    share = f"({1:.2%} of {count:,} such rows, {CLICK.mean():.2%} of all rows)"
    assert str(leak) == f"x contains 7 only where click is 1 {share}"
    words = np.where((np.arange(ROWS) % 2 == 1) & (CLICK > 0), b"won", b"open")
    [leak] = check(Feature("x", "categorical", dtype="string", hash_buckets=16), encode_words(words)).leaks
    assert str(leak) in (f"x {state} only where click is 1 {share}" for state in ("is 'won'", "is not 'open'"))


def test_the_auc_of_a_number_is_exact():
    values = float32(CLICK + RNG.normal(0, 0.3, ROWS))
    [leak] = check(NUMBER, values).leaks
    assert leak.value == pytest.approx(exact_auc(CLICK, values), abs=1e-12)


HONEST = {
    "a number of AUC 0.9": (NUMBER, float32(CLICK * 1.8 + RNG.normal(size=ROWS))),
    "a number of AUC 0.96": (NUMBER, float32(CLICK * 2.5 + RNG.normal(size=ROWS))),
    "a constant": (NUMBER, float32(np.ones(ROWS))),
    "a number that is always missing": (NUMBER, float32(np.full(ROWS, np.nan))),
    "an id of each row": (ID, np.arange(ROWS)),
    "an id of a few rows": (ID, RNG.integers(0, 2500, ROWS)),
    "a number that is missing at random": (NUMBER, float32(np.where(RNG.random(ROWS) < 0.9, np.nan, 1.0))),
    "a bag of ids": (Feature("x", "bag", num_ids=3000, width=3), RNG.integers(0, 3000, (ROWS, 3))),
    "users who always click": (
        ID,
        np.where(CLICK * (RNG.random(ROWS) < 0.5), RNG.integers(0, 150, ROWS), RNG.integers(150, 900, ROWS)),
    ),
    "a segment that clicks in 95% of its rows": (
        ID,
        np.where(CLICK * (RNG.random(ROWS) < 0.5), 1, RNG.integers(1, 150, ROWS)),
    ),
    "a bag with a strong item": (
        Feature("x", "bag", num_ids=30, width=2),
        np.column_stack([RNG.integers(0, 10, ROWS), np.where(RNG.random(ROWS) < 0.02 + 0.7 * CLICK, 20, 3)]),
    ),
    "a vector": (Feature("x", "numerical", width=40), float32(RNG.normal(size=(ROWS, 40)))),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_feature_is_not_named(name):
    report = check(*HONEST[name])
    assert (report.leaks, report.unchecked) == ((), {})


def test_honest_features_are_not_named_at_any_share_of_positives():
    """AUC 0.9, 40 draws for each share; 0.25% of 8,000 rows are 20 positives, the fewest that are checked."""
    named = []
    for positives in (20, 100, 4000, 7900, 7980):
        for seed in range(40):
            rng = np.random.default_rng(seed)
            click = rng.permutation(np.arange(ROWS) < positives).astype(np.float32)
            named += check(NUMBER, float32(click * 1.8 + rng.normal(size=ROWS)), click).leaks
    assert named == []


def test_twenty_positives_are_enough_and_nineteen_are_not():
    for positives, is_checked in ((20, True), (19, False)):
        click = float32(np.arange(ROWS) < positives)
        report = check(NUMBER, click, click)
        assert bool(report.leaks) == is_checked
        assert bool(report.unchecked) != is_checked
    assert report.unchecked == {"click": "it has 19 positive labels (needs 20) in 8,000 sampled rows"}
    one_class = check(NUMBER, CLICK, np.ones(ROWS, np.float32))
    assert one_class.unchecked == {"click": "it has 0 negative labels (needs 20) in 8,000 sampled rows"}


def test_rows_without_a_label_do_not_count():
    label = np.where(RNG.random(ROWS) < 0.5, CLICK, np.nan).astype(np.float32)
    hidden = float32(np.where(np.isnan(label), RNG.normal(size=ROWS), label))
    assert check(NUMBER, hidden, label).leaks[0].value == 1.0
    assert check(NUMBER, np.isnan(label).astype(np.float32), label).leaks == ()


MINUTES = Task("minutes", "regression")
WATCHED = np.where(CLICK, RNG.gamma(2, 3, ROWS), 0).astype(np.float32)


@pytest.mark.parametrize(
    ("feature", "values", "measure"),
    [
        (NUMBER, WATCHED * -60, "rank_correlation"),
        (NUMBER, np.exp(WATCHED / 10), "rank_correlation"),
        (NUMBER, np.where(WATCHED > 0, RNG.normal(size=ROWS), np.nan), "auc"),
        (ID, np.where(WATCHED > 0, RNG.integers(0, 9, ROWS), -1), "auc"),
    ],
)
def test_a_leak_of_a_regression_is_found(feature, values, measure):
    values = values if feature is ID else float32(values)
    [leak] = check(feature, values, WATCHED, MINUTES).leaks
    assert (leak.measure, leak.task) == (measure, "minutes")


def test_an_honest_feature_of_a_regression_is_not_named():
    label = float32(RNG.normal(size=ROWS))
    assert check(NUMBER, float32(label + RNG.normal(0, 0.3, ROWS)), label, MINUTES).leaks == ()
    assert check(ID, np.arange(ROWS), label, MINUTES).leaks == ()


def test_a_rating_of_few_values_is_checked_and_few_rows_are_not():
    rating = float32(np.arange(ROWS) % 5 + 1)
    assert check(NUMBER, rating * 2, rating, MINUTES).leaks[0].value == pytest.approx(1.0)
    few = check(NUMBER, rating, np.where(np.arange(ROWS) < 99, rating, np.nan), MINUTES)
    assert few.unchecked == {"minutes": "it has 99 labels (needs 100) in 8,000 sampled rows"}
    equal = check(NUMBER, rating, np.ones(ROWS, np.float32), MINUTES)
    assert equal.unchecked == {"minutes": "all its labels are equal in 8,000 sampled rows"}


def test_blocks_with_different_dictionaries_are_merged():
    blocks = [
        {"x": DictionaryColumn(np.array([b"no", b"yes", b""]), np.array([0, 1] * 50, np.int32)), "click": CLICK},
        {"x": DictionaryColumn(np.array([b"yes", b"no", b""]), np.array([1, 0] * 50, np.int32)), "click": CLICK},
    ]
    for block in blocks:
        block["click"] = (block["x"].decode() == b"yes").astype(np.float32)
    feature = Feature("x", "categorical", dtype="string", hash_buckets=16)
    [leak] = find_leaks(blocks, Schema((feature,), (Task("click", "binary"),))).leaks
    assert str(leak) == "x alone predicts click (AUC 1.0000)"


def test_the_report_says_what_to_do():
    report = LeakReport(
        9, check(NUMBER, CLICK).leaks, {"like": "it has 3 positive labels (needs 20) in 9 sampled rows"}
    )
    assert report.to_lines() == [
        "Possible leak: x alone predicts click (AUC 1.0000). Remove the feature from the schema unless its value is known "
        "before the outcome.",
        "Task like was not checked for leaks: it has 3 positive labels (needs 20) in 9 sampled rows.",
    ]
