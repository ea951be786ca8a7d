"""JSON with NaN and infinity."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from steadyrank.foundation.json_values import from_json_value, to_json_value


def test_values_survive_a_round_trip_through_strict_json():
    value = {"loss": math.inf, "rows": 3, "days": [{"auc": -math.inf, "name": "NaN?"}], "done": True, "none": None}
    text = json.dumps(to_json_value(value), allow_nan=False)
    assert from_json_value(json.loads(text)) == value


def test_nan_survives_a_round_trip_through_json():
    assert to_json_value(math.nan) == "NaN"
    assert math.isnan(from_json_value("NaN"))


def test_numpy_numbers_become_plain_numbers():
    converted = to_json_value({"a": np.float32(0.5), "b": np.int64(3), "c": (np.float64("inf"),)})
    assert converted == {"a": 0.5, "b": 3.0, "c": ["Infinity"]}
    assert type(converted["a"]) is float


def test_keys_become_strings():
    assert to_json_value({3: 1}) == {"3": 1}


def test_a_value_without_a_json_form_is_refused():
    with pytest.raises(TypeError):
        to_json_value(object())
