"""Programs whose way of training is unusual: own loops, other callbacks, several fits, strategies, sources of data."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
from typing import Any

import numpy as np
import tensorflow as tf

from ..kit import Run, program


def _regression(run: Run, rows: int = 384) -> tuple[np.ndarray, np.ndarray]:
    x = run.normal(rows, 6)
    return x, np.nan_to_num(x).sum(axis=1, keepdims=True)


def _network(k: Any, **last: Any) -> Any:
    return k.Sequential([k.Input((6,)), k.layers.Dense(16, activation="relu"), k.layers.Dense(1, **last)])


@program()
def many_callbacks(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    model, calls = _network(k), k.callbacks
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse", metrics=["mae"])
    folder = run.folder
    others = [
        calls.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True),
        calls.ModelCheckpoint(str(folder / "best.weights.h5"), save_best_only=True, save_weights_only=True),
        calls.ReduceLROnPlateau(patience=1, factor=0.5),
        calls.CSVLogger(str(folder / "log.csv")),
        calls.TensorBoard(str(folder / "board")),
        calls.TerminateOnNaN(),
        calls.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=epoch)),
        calls.BackupAndRestore(str(folder / "backup")),
    ]
    run.fit(model, x, y, epochs=5, batch_size=32, validation_split=0.2, callbacks=run.callbacks(*others))


@program()
def rate_schedules(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    for rate in (
        k.optimizers.schedules.ExponentialDecay(0.02, decay_steps=20, decay_rate=0.9),
        k.optimizers.schedules.CosineDecay(0.02, 60),
        0.02,
    ):
        model = _network(k)
        model.compile(run.optimizer(k.optimizers.Adam, rate), "mse")
        others = (
            [k.callbacks.LearningRateScheduler(lambda epoch, rate: rate * math.exp(-0.1))]
            if isinstance(rate, float)
            else []
        )
        run.fit(model, x, y, epochs=3, batch_size=32, callbacks=run.callbacks(*others))


@program()
def two_fits_with_a_new_compile(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    base = k.Sequential([k.Input((6,)), k.layers.Dense(16, activation="relu"), k.layers.BatchNormalization()])
    base.trainable = False
    inputs = k.Input((6,))
    model = k.Model(inputs, k.layers.Dense(1)(base(inputs, training=False)))
    model.compile(run.optimizer(k.optimizers.Adam, 0.02), "mse")
    run.fit(model, x, y, epochs=3, batch_size=32)
    base.trainable = True
    model.compile(run.optimizer(k.optimizers.Adam, 0.001), "mse")
    run.fit(model, x, y, epochs=3, batch_size=32, callbacks=run.callbacks(again=True))
    run.fit(model, x, y, epochs=5, initial_epoch=3, batch_size=32, callbacks=run.callbacks(again=True))


@program()
def cross_validation_with_clones(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    for fold in range(3):
        model = k.models.clone_model(_network(k))
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
        held = np.arange(len(x)) % 3 == fold
        run.fit(
            model,
            x[~held],
            y[~held],
            epochs=3,
            validation_data=(x[held], y[held]),
            callbacks=run.callbacks(again=fold > 0),
        )


@program()
def copied_callbacks_of_a_tuner(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    callbacks = run.callbacks()
    for units in (4, 8):
        model = k.Sequential([k.layers.Dense(units, activation="relu"), k.layers.Dense(1)])
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
        copies = copy.deepcopy(callbacks) if units == 4 else pickle.loads(pickle.dumps(callbacks))
        run.fit(model, x, y, epochs=2, callbacks=copies)


@program()
def callback_list_in_an_own_loop(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    model = _network(k)
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
    callbacks = k.callbacks.CallbackList(run.callbacks(), model=model, add_history=False)
    callbacks.on_train_begin()
    losses = []
    for epoch in range(3):
        callbacks.on_epoch_begin(epoch)
        for batch in range(12):
            rows = slice(batch * 32, batch * 32 + 32)
            callbacks.on_train_batch_begin(batch)
            logs = model.train_on_batch(x[rows], y[rows], return_dict=True)
            callbacks.on_train_batch_end(batch, logs)
        losses.append(float(logs["loss"]))
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()
    run.record(model, {"loss": losses})


@program()
def own_loop_by_tape(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    model = _network(k)
    optimizer, loss_fn = run.optimizer(k.optimizers.SGD, 0.02), k.losses.MeanSquaredError()
    losses = []

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_weights), model.trainable_weights, strict=True)
        )
        return loss

    for _ in range(3):
        for rows in np.split(np.arange(len(x)), 12):
            loss = step(x[rows], y[rows])
        losses.append(float(loss))
    # The monitor needs fit; a model without an optimizer is fitted for no step.
    model.compile(loss="mse", optimizer="sgd")
    run.fit(model, x[:32], y[:32], epochs=1)
    run.record(model, {"loss": losses})


@program()
def generators_and_sequences(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    base = k.utils.Sequence if run.version == 2 else k.utils.PyDataset

    class Rows(base):
        def __len__(self):
            return 12

        def __getitem__(self, i):
            return x[i * 32 : i * 32 + 32], y[i * 32 : i * 32 + 32], np.ones(32, "float32")

    def generate():
        while True:
            for i in range(12):
                yield x[i * 32 : i * 32 + 32], y[i * 32 : i * 32 + 32]

    for source, options in ((Rows(), {"shuffle": False}), (generate(), {"steps_per_epoch": 12})):
        model = _network(k)
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
        run.fit(model, source, epochs=3, **options)


@program()
def uneven_last_batch_and_weights(run: Run) -> None:
    k = run.keras
    x = run.normal(801, 6)
    y = (np.nan_to_num(x).sum(axis=1, keepdims=True) + run.random.normal(size=(801, 1)) > 1.5).astype("float32")
    for options in ({"class_weight": {0: 0.3, 1: 2.0}}, {"sample_weight": np.where(y[:, 0] > 0, 3.0, 0.5)}):
        model = _network(k, activation="sigmoid")
        model.compile(
            run.optimizer(k.optimizers.Adam, 0.01),
            "binary_crossentropy",
            metrics=["accuracy"],
            weighted_metrics=["AUC"],
        )
        run.fit(model, x, y, epochs=4, batch_size=40, **options)


@program()
def imbalanced_with_initial_bias(run: Run) -> None:
    k = run.keras
    x = run.normal(4096, 6)
    y = (np.nan_to_num(x).sum(axis=1, keepdims=True) + run.random.normal(size=(4096, 1)) > 5.5).astype("float32")
    bias = k.initializers.Constant(np.log(y.mean() / (1 - y.mean())))
    metrics = [k.metrics.TruePositives(name="tp"), k.metrics.AUC(name="auc"), k.metrics.AUC(name="prc", curve="PR")]
    for initializer in ("zeros", bias):
        model = k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(16, activation="relu"),
                k.layers.Dropout(0.5, seed=1),
                k.layers.Dense(1, activation="sigmoid", bias_initializer=initializer),
            ]
        )
        model.compile(run.optimizer(k.optimizers.Adam, 1e-3), k.losses.BinaryCrossentropy(), metrics=metrics)
        stop = k.callbacks.EarlyStopping(monitor="val_prc", patience=10, mode="max", restore_best_weights=True)
        run.fit(model, x, y, epochs=4, batch_size=64, validation_split=0.2, callbacks=run.callbacks(stop))


@program()
def regression_far_from_zero(run: Run) -> None:
    k = run.keras
    x = run.normal(2048, 6)
    y = 500 + 100 * np.nan_to_num(x)[:, :1]
    normalizer = k.layers.Normalization(axis=-1)
    normalizer.adapt(np.nan_to_num(x))
    model = k.Sequential([normalizer, k.layers.Dense(32, activation="relu"), k.layers.Dense(1)])
    model.compile(loss="mean_absolute_error", optimizer=run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, x, y, epochs=5, batch_size=32, validation_split=0.2)
    model = k.Sequential([k.Input((6,)), k.layers.Dense(32, activation="relu"), k.layers.Dense(1)])
    model.compile(loss="mse", optimizer=run.optimizer(k.optimizers.Adam, 0.01), metrics=["mae"])
    run.fit(model, x, y, epochs=5, batch_size=32)


@program()
def eager_compiled_and_several_steps(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run, 512)
    for options in ({"run_eagerly": True}, {"steps_per_execution": 5}, {"jit_compile": True}):
        model = k.Sequential([k.layers.Dense(8, activation="relu"), k.layers.Dense(1)])
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse", **options)
        run.fit(model, x, y, epochs=3, batch_size=32)


@program()
def mixed_precision(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run, 512)
    policy = k.mixed_precision.set_global_policy if run.version == 2 else k.config.set_dtype_policy
    policy("mixed_float16")
    try:
        model = k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(16, activation="relu"),
                k.layers.Dense(1),
                k.layers.Activation("linear", dtype="float32"),
            ]
        )
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
        run.fit(model, x, y, epochs=4, batch_size=32)
    finally:
        policy("float32")


@program()
def mirrored_strategy(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run, 512)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = _network(k)
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse", metrics=["mae"])
    run.fit(model, tf.data.Dataset.from_tensor_slices((x, y)).batch(32), epochs=3)


@program(2)
def legacy_optimizers(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run, 512)
    for name in ("SGD", "Adam", "Adagrad", "RMSprop"):
        model = _network(k)
        model.compile(run.optimizer(getattr(k.optimizers.legacy, name), 0.01), "mse")
        run.fit(model, x, y, epochs=2, batch_size=32)


@program()
def interrupted_and_continued(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run, 512)
    model = _network(k)
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")

    class Interrupt(k.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 7:
                raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        run.fit(model, x, y, epochs=2, callbacks=run.callbacks(Interrupt()))
    run.fit(model, x, y, epochs=3)
    model.save_weights(str(run.folder / "after.weights.h5"))
    run.record(model, model.evaluate(x, y, verbose=0, return_dict=True))
