from __future__ import annotations

import pytest

from steadyrank.pipeline.divergence import Thresholds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patience_publications", 0),
        ("patience_steps", 0),
        ("loss_ratio", 1.0),
        ("loss_growth", float("nan")),
        ("spike_deviations", 0.5),
        ("collapse_share", 0.0),
        ("collapse_share", 1.0),
        ("over_clipping_factor", 1.0),
        ("dead_share", 0.0),
    ],
)
def test_a_threshold_out_of_its_range_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        Thresholds(**{name: value})
