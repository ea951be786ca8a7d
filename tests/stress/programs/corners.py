"""Programs that use TensorFlow and Keras in ways that few others do, each found in public code."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ..kit import Run, program


def _regression(run: Run, rows: int = 384) -> tuple[np.ndarray, np.ndarray]:
    x = run.normal(rows, 6)
    return x, np.nan_to_num(x).sum(axis=1, keepdims=True)


@program()
def whole_models_saved_during_training(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    for name in ("model.keras", "model.h5", "folder") if run.version == 2 else ("model.keras", "model.h5"):
        model = k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(1)])
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
        path = str(run.folder / name)
        # The monitor comes first and last.
        callbacks = [*run.callbacks(), k.callbacks.ModelCheckpoint(path)]
        run.fit(model, x, y, epochs=2, callbacks=callbacks)
        # The loss "mse" of a file of Keras 3 in the old format has no class to load.
        loaded = k.models.load_model(path, compile=name != "model.h5")
        run.record(loaded, {"predicted": loaded.predict(x[:4], verbose=0)})
        if name != "model.h5":
            run.fit(loaded, x, y, epochs=2, callbacks=run.callbacks(again=True))


@program()
def step_that_is_a_function(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)

    class Model(k.Model):
        @tf.function
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(y - self(x, training=True)))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    inputs = k.Input((6,))
    model = Model(inputs, k.layers.Dense(1)(k.layers.Dense(8, activation="relu")(inputs)))
    model.compile(run.optimizer(k.optimizers.Adam, 0.01))
    model.optimizer.build(model.trainable_variables)
    run.fit(model, x, y, epochs=3)


@program()
def callbacks_without_compile(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    model = k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(1)])
    optimizer = run.optimizer(k.optimizers.Adam, 0.02)
    callbacks = k.callbacks.CallbackList(run.callbacks(), model=model)
    callbacks.on_train_begin()
    losses = []
    for epoch in range(3):
        callbacks.on_epoch_begin(epoch)
        for batch in range(12):
            rows = slice(batch * 32, batch * 32 + 32)
            callbacks.on_train_batch_begin(batch)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(y[rows] - model(x[rows], training=True)))
            variables = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            callbacks.on_train_batch_end(batch, {"loss": float(loss)})
        losses.append(float(loss))
        callbacks.on_epoch_end(epoch, {"loss": float(loss)})
    callbacks.on_train_end()
    run.record(model, {"loss": losses})


@program()
def callbacks_of_epochs_only(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    model = k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(1)])
    model.compile(run.optimizer(k.optimizers.Adam, 0.02), "mse")
    callbacks = run.callbacks()
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    losses = []
    for epoch in range(4):
        for batch in range(12):
            rows = slice(batch * 32, batch * 32 + 32)
            loss = model.train_on_batch(x[rows], y[rows])
        losses.append(float(loss))
        for callback in callbacks:
            callback.on_epoch_end(epoch, {"loss": losses[-1]})
    for callback in callbacks:
        callback.on_train_end()
    run.record(model, {"loss": losses})


@program()
def branches_and_loops_of_tensors(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)

    class Depth(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.step = k.layers.Dense(6, activation="tanh")

        def build(self, shape):
            self.step.build(shape)
            super().build(shape)

        def call(self, x):
            def body(i, x):
                return i + 1, x + 0.1 * self.step(x)

            x = tf.while_loop(lambda i, x: i < 3, body, [tf.constant(0), x])[1]
            x = tf.cond(tf.reduce_mean(x) > 0, lambda: x * 1.5, lambda: x)
            scale = tf.map_fn(lambda row: tf.reduce_max(tf.abs(row)), x)
            return tf.recompute_grad(lambda x: tf.tanh(x))(x) + 0.0 * scale[:, None]

        def compute_output_shape(self, shape):
            return shape

    inputs = k.Input((6,))
    model = k.Model(inputs, k.layers.Dense(1)(Depth()(inputs)))
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
    run.fit(model, x, y, epochs=3)


@program()
def strategies_of_one_replica(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    strategies = [tf.distribute.OneDeviceStrategy("CPU:0")]
    if run.version == 2:
        strategies.append(tf.distribute.MultiWorkerMirroredStrategy())
    for strategy in strategies:
        with strategy.scope():
            model = k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(1)])
            model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
        run.fit(model, tf.data.Dataset.from_tensor_slices((x, y)).batch(32), epochs=2)


@program()
def every_value_checked(run: Run) -> None:
    k = run.keras
    x = run.normal(384, 6)
    y = (np.nan_to_num(x).sum(axis=1, keepdims=True) > 5).astype("float32")
    model = k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(1, activation="sigmoid")])
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "binary_crossentropy", metrics=["AUC"])
    if not run.is_damaged:
        tf.debugging.enable_check_numerics()
    try:
        run.fit(model, x, y, epochs=3, batch_size=16)
    finally:
        if not run.is_damaged:
            tf.debugging.disable_check_numerics()


@program()
def functions_run_eagerly(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run, 256)
    tf.config.run_functions_eagerly(True)
    try:
        model = k.Sequential([k.layers.Dense(8, activation="relu"), k.layers.Dense(1)])
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
        run.fit(model, x, y, epochs=3)
    finally:
        tf.config.run_functions_eagerly(False)


@program()
def masked_labels_of_weight_zero(run: Run) -> None:
    k = run.keras
    x = run.normal(1024, 6)
    y = (np.nan_to_num(x).sum(axis=1, keepdims=True) > 0).astype("float32")
    weights = (run.random.random(1024) < 0.7).astype("float32")
    y[weights == 0] = -1
    model = k.Sequential(
        [k.Input((6,)), k.layers.Dense(16, activation="relu"), k.layers.Dense(1, activation="sigmoid")]
    )
    model.compile(run.optimizer(k.optimizers.Adam, 0.02), "binary_crossentropy")
    run.fit(model, x, y, sample_weight=weights, epochs=5, batch_size=32)


@program()
def rare_positives_with_weights_and_smoothing(run: Run) -> None:
    k = run.keras
    x = run.normal(2048, 6)
    score = np.nan_to_num(x).sum(axis=1, keepdims=True) + run.random.normal(size=(2048, 1))
    y = (score > np.quantile(score, 0.98)).astype("float32")
    for loss, weight in (
        ("binary_crossentropy", {0: 0.5, 1: 25.0}),
        (k.losses.BinaryCrossentropy(label_smoothing=0.2), None),
    ):
        model = k.Sequential(
            [k.Input((6,)), k.layers.Dense(16, activation="relu"), k.layers.Dense(1, activation="sigmoid")]
        )
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), loss)
        run.fit(model, x, y, class_weight=weight, epochs=4, batch_size=64)
