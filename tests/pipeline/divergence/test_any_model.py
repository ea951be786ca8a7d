"""An observer changes no number, in any model: each fit is compared with the same fit without a monitor, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.pipeline.divergence.any_models import BATCH, BOTH, KERAS_2, ROWS
from tests.pipeline.divergence.conftest import KERAS_VERSIONS

EAGER, XLA, TWO_STEPS = {"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}

CELLS = [
    ("keras2", "unbuilt_sequential", {}, "rollback"),
    ("keras2", "broadcast_labels", XLA, None),
    ("keras2", "two_outputs", TWO_STEPS, "stop"),
    ("keras2", "own_train_step", {}, "raise"),
    ("keras2", "control_flow", {}, None),
    ("keras2", "layers_with_unusual_outputs", {}, None),
    ("keras2", "layers_that_tensorflow_fuses", {}, None),
    ("keras2", "tfrs_multitask", {}, None),
    ("keras3", "layers_that_tensorflow_fuses", {"jit_compile": False}, None),
    ("keras3", "two_outputs", {"jit_compile": False}, "rollback"),
    ("keras3", "own_train_step", {}, None),
    ("keras3", "generative_adversarial", {}, None),
    *(("keras2", name, {}, None) for name in ("vocabularies", "half_precision", "own_loss_of_a_known_name")),
    ("keras2", "recurrent_cell_with_constants", {}, None),
    *(("keras2", name, EAGER, None) for name in KERAS_2 if not name.startswith("tfrs")),
    *(
        (version, name, EAGER, None)
        for version in KERAS_VERSIONS
        for name in ("unbuilt_sequential", "subclassed_two_towers")
    ),
]
"""Keras, model, arguments of ``compile``, and ``on_full``. Eager steps are the fastest, because nothing is traced."""

MEASURED = {"feature", "gradient", "activation"}
NO_LOSS = ("own_train_step", "generative_adversarial", "wide_and_deep")


def fit(version: str, name: str, compiled: dict[str, Any], monitor: Any = None) -> tuple[list[np.ndarray], Any]:
    """Trains a model for two epochs; returns its weights and the history."""
    library = KERAS_VERSIONS[version].library
    library.utils.set_random_seed(7)
    model, arguments = BOTH[name](library, **compiled) if name in BOTH else KERAS_2[name](**compiled)
    if not isinstance(arguments["x"], tf.data.Dataset):
        arguments["batch_size"] = BATCH
    history = model.fit(**arguments, epochs=2, shuffle=False, verbose=0, callbacks=[monitor] if monitor else None)
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    weights = [np.array(tf.convert_to_tensor(variable)) for variable in variables if hasattr(variable, "assign")]
    return weights, history.history


@pytest.mark.filterwarnings("ignore:Gradients do not exist", "ignore:.*complex", "ignore:The model does not have")
@pytest.mark.parametrize(("version", "name", "compiled", "on_full"), CELLS)
def test_a_monitor_changes_no_number_and_measures(version, name, compiled, on_full, tmp_path):
    monitor = KERAS_VERSIONS[version].monitor_class(every=4, on_full=on_full, bundles=tmp_path)
    weights, history = fit(version, name, compiled, monitor)
    expected_weights, expected_history = fit(version, name, compiled)
    for ours, theirs in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert history == expected_history
    # XLA cannot save steps, which is the only thing that is not measured here.
    assert [problem for problem in monitor.problems if "XLA" not in problem] == []
    signals = monitor._reader.take_unpublished(monitor.step)
    assert signals.steps == monitor.step == 2 * ROWS // BATCH
    kinds = {name.partition("/")[0] for name, signal in signals.signals.items() if signal.finite_count}
    assert kinds >= MEASURED | (set() if name in NO_LOSS else {"loss"})
