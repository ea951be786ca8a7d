from __future__ import annotations

import pytest
import tf_keras

from steadyrank.optimizers import WarmUp


def test_the_rate_rises_linearly_and_then_stays():
    rate = WarmUp(0.4, steps=4)
    assert [float(rate(t)) for t in range(6)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_without_warm_up_steps_the_rate_is_the_target():
    assert float(WarmUp(0.4, steps=0)(0)) == pytest.approx(0.4)


def test_a_target_schedule_is_followed_and_survives_serialization():
    decay = tf_keras.optimizers.schedules.ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5)
    rate = WarmUp(decay, steps=2)
    restored = tf_keras.optimizers.schedules.deserialize(tf_keras.optimizers.schedules.serialize(rate))
    for step in (0, 1, 2, 20):
        expected = min(1.0, (step + 1) / 2) * 0.5 ** (step / 10)
        assert float(rate(step)) == pytest.approx(expected)
        assert float(restored(step)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "steps", "named"), [(-1.0, 1, "target"), (float("nan"), 1, "target"), (1.0, -1, "steps")]
)
def test_wrong_arguments_are_named(target, steps, named):
    with pytest.raises(ValueError, match=named):
        WarmUp(target, steps)
