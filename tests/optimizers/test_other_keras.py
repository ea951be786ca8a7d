"""An optimizer or a schedule that is given to the other version of Keras: one error that names the right import."""

from __future__ import annotations

import keras
import pytest
import tf_keras

from steadyrank.optimizers import Adagrad, ClippyAdagrad, WarmUp, tfrs
from steadyrank.optimizers import keras3 as for_keras3

CASES = [
    (keras, Adagrad, "from steadyrank.optimizers.keras3 import Adagrad"),
    (keras, ClippyAdagrad, "from steadyrank.optimizers.keras3 import ClippyAdagrad"),
    (keras, tfrs.ClippyAdagrad, "from steadyrank.optimizers.keras3 import ClippyAdagrad"),
    (tf_keras, for_keras3.Adagrad, "from steadyrank.optimizers import Adagrad"),
    (tf_keras, for_keras3.ClippyAdagrad, "from steadyrank.optimizers import ClippyAdagrad"),
]


@pytest.mark.parametrize(("library", "optimizer_class", "right_import"), CASES)
def test_compile_names_the_right_import(library, optimizer_class, right_import):
    model = library.Sequential([library.layers.Dense(1)])
    with pytest.raises(TypeError, match=right_import):
        model.compile(optimizer_class(0.1), "mse")


@pytest.mark.parametrize("optimizer_class", [Adagrad, for_keras3.Adagrad])
def test_an_optimizer_can_be_formatted(optimizer_class):
    optimizer = optimizer_class(0.1)
    assert f"{optimizer}" == str(optimizer)


@pytest.mark.parametrize(
    ("optimizer_class", "schedule", "message"),
    [
        (for_keras3.ClippyAdagrad, WarmUp(0.1, 3), "schedule of Keras 3 .keras., .* got a WarmUp of Keras 2"),
        (
            ClippyAdagrad,
            keras.optimizers.schedules.CosineDecay(0.1, 5),
            "schedule of Keras 2 .tf_keras., .* got a CosineDecay of Keras 3",
        ),
    ],
)
def test_a_schedule_of_the_other_version_is_refused(optimizer_class, schedule, message):
    with pytest.raises(TypeError, match=message):
        optimizer_class(schedule)
