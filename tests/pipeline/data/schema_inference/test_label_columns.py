from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.schema_inference.label_columns import find_label_role, propose_label
from steadyrank.pipeline.data.schema_inference.plain_types import to_plain


def plain(values) -> pa.Array:
    return to_plain(values if isinstance(values, pa.Array) else pa.array(values))


@pytest.mark.parametrize(
    ("values", "kind", "threshold"),
    [
        ([0, 1, 1], "binary", None),
        ([0.0, 1.0, None, np.nan], "binary", None),
        ([True, False], "binary", None),
        ([0, 0], "binary", None),
        (["yes", "no", None], "binary", None),
        (["0", "1"], "binary", None),
        (pa.array(["True", "False"]).dictionary_encode(), "binary", None),
        ([-1, 1], "binary", 0.0),
        ([0.5, 2.5], "regression", None),
        ([1, 2, 3, 4, 5], "regression", None),
    ],
)
def test_a_label_becomes_a_task(values, kind, threshold):
    task = propose_label("x", plain(values), "").task
    assert (task.kind, task.label_threshold) == (kind, threshold)


def test_strings_are_described_with_their_meaning():
    summary = propose_label("x", plain(["no", "no", "no", "yes"]), ", 5.0% missing").summary
    assert summary == "strings 'no', 'yes', read as 0 and 1, 5.0% missing; 25.00% are 1"


def test_a_regression_is_weighted_by_its_variance():
    assert propose_label("rating", plain([0.0, 20.0]), "").task.weight == 0.01
    assert propose_label("click", plain([0, 1]), "").task.weight == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([">50K", "<=50K"], "but the log has the string '>50K'; write it as 0 and 1"),
        ([[1], [0]], "but the log has lists; name another column"),
        ([None, None], "has no value in the sample"),
        ([np.nan, np.inf], "but the log has no finite value in it"),
    ],
)
def test_other_columns_are_refused(values, message):
    with pytest.raises(UserError, match="--labels: column 'x' ") as raised:
        propose_label("x", plain(values), "")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("click", [0, 1], "label"),
        ("click", ["Y", "N"], "label"),
        ("click", [0.0, 1.0, None], "label"),
        ("click", [0, 0], "outcome"),
        ("click", [0, 3, 5], "outcome"),
        ("label_source", ["bot", "user"], "outcome"),
        ("label", [[0], [1]], "other"),
        ("click", [None, None], "other"),
        ("income", [">50K", "<=50K"], "outcome"),
        ("income", [1000.0, 2000.0, 3000.0], "other"),
        ("y", ["yes", "no"], "outcome"),
        ("y", [0.5, 1.5, 2.5], "other"),
        ("weight", [1.5, 2.5], "weight"),
        ("weight", ["light", "heavy"], "other"),
        ("behavior_type", ["view", "buy", "cart"], "outcome"),
    ],
)
def test_the_role_depends_on_name_and_values(name, values, role):
    assert find_label_role(name, plain(values)) == role
