"""The key of a metric."""

from __future__ import annotations

import pytest

from steadyrank.foundation.metric_key import MetricKey


@pytest.mark.parametrize(
    ("key", "kind", "subject"),
    [
        ("loss", "loss", ""),
        ("loss/click", "loss", "click"),
        ("clipping_factor/shared/layer_0", "clipping_factor", "shared/layer_0"),
        ("norm/gradient/shared/layer_0", "norm/gradient", "shared/layer_0"),
        ("norm/update", "norm/update", ""),
        ("norm", "norm", ""),
        ("", "", ""),
    ],
)
def test_a_key_is_split_into_kind_and_subject_and_formatted_back(key, kind, subject):
    parsed = MetricKey.parse(key)
    assert parsed == (kind, subject)
    assert str(parsed) == key
