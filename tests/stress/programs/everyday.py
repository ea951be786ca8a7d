"""Everyday programs: tables, images, series, many losses, odd shapes of labels, several inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..kit import Run, program


@program()
def many_losses(run: Run) -> None:
    k = run.keras
    x = run.normal(512, 4)
    y = np.abs(np.nan_to_num(x).sum(axis=1, keepdims=True)) + 0.5
    low = (y > 1.5).astype("float32")

    losses: list[tuple[Any, Any, Any]] = [
        (k.losses.Huber(), y, None),
        ("poisson", y, "softplus"),
        (k.losses.BinaryCrossentropy(label_smoothing=0.1), low, "sigmoid"),
        ("hinge", 2 * low - 1, None),
        (k.losses.CosineSimilarity(), np.c_[y, -y], None),
    ]
    for loss, target, activation in losses:
        model = k.Sequential(
            [
                k.Input((4,)),
                k.layers.Dense(8, activation="tanh"),
                k.layers.Dense(target.shape[1], activation=activation),
            ]
        )
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), loss)
        run.fit(model, x, target, epochs=3, batch_size=32)


@program(falls=False)
def labels_that_broadcast(run: Run) -> None:
    k = run.keras
    x = run.normal(512, 5)
    clean = np.nan_to_num(x)
    for y, units in ((clean[:, :1], 3), (clean[:, 0], 1), (clean[:, None, :1], 1)):
        model = k.Sequential([k.Input((5,)), k.layers.Dense(units)])
        model.compile(
            run.optimizer(k.optimizers.Adam, 0.01),
            k.losses.MeanSquaredError() if units == 3 else "mse",
            metrics=["mae"],
        )
        if run.version == 2 or y.ndim == 2:
            run.fit(model, x, y, epochs=3, batch_size=32)
    if run.version == 3:
        model = k.Sequential([k.Input((5,)), k.layers.Dense(1)])
        model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mae")
        run.fit(model, x, clean[:, 0], epochs=2, batch_size=32)


@program()
def own_loss_with_a_packed_mask(run: Run) -> None:
    k = run.keras
    x = run.normal(512, 5)
    labels = (np.nan_to_num(x)[:, :3] > 0).astype("float32")
    packed = np.concatenate([labels, (run.random.random(labels.shape) < 0.5).astype("float32")], axis=1)

    def binary_crossentropy(y_true, y_pred):
        y, mask = y_true[:, :3], y_true[:, 3:]
        return tf.reduce_sum(mask * tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=y_pred)) / tf.reduce_sum(
            mask
        )

    model = k.Sequential([k.Input((5,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(3)])
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), binary_crossentropy)
    run.fit(model, x, packed, epochs=4, batch_size=32)


@program()
def negative_log_likelihood(run: Run) -> None:
    k = run.keras
    x = run.normal(768, 4)
    y = 0.01 * np.nan_to_num(x)[:, :1] + 0.001 * run.random.normal(size=(768, 1))

    def likelihood(y_true, y_pred):
        mean, scale = y_pred[:, :1], tf.nn.softplus(y_pred[:, 1:]) + 1e-4
        return 0.5 * tf.square((y_true - mean) / scale) + tf.math.log(scale)

    model = k.Sequential([k.Input((4,)), k.layers.Dense(16, activation="tanh"), k.layers.Dense(2)])
    # The loss falls through zero.
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), likelihood)
    run.fit(model, x, y, epochs=6, batch_size=32)


@program()
def structured_data_with_lookups(run: Run) -> None:
    k = run.keras
    ages, jobs = run.data(run.random.integers(18, 80, 640)), run.random.choice(["a", "b", "c"], 640)
    labels = ((np.nan_to_num(ages) > 45) ^ (jobs == "a")).astype("float32")[:, None]
    normalizer = k.layers.Normalization()
    normalizer.adapt(np.nan_to_num(ages)[:, None])
    lookup = k.layers.StringLookup(output_mode="int")
    lookup.adapt(jobs)
    hashing = k.layers.Hashing(num_bins=8, output_mode="int")
    age, job = k.Input((1,), name="age"), k.Input((1,), name="job", dtype="string")
    parts = [normalizer(age)]
    parts += [k.layers.Flatten()(k.layers.Embedding(8, 4)(part(job))) for part in (lookup, hashing)]
    x = k.layers.Dense(16, activation="relu")(k.layers.Concatenate()(parts))
    model = k.Model({"age": age, "job": job}, k.layers.Dense(1, activation="sigmoid")(k.layers.Dropout(0.2, seed=1)(x)))
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "binary_crossentropy", metrics=["accuracy"])
    dataset = tf.data.Dataset.from_tensor_slices(({"age": ages[:, None], "job": jobs[:, None]}, labels)).batch(32)
    run.fit(model, dataset, epochs=4, validation_data=dataset.take(3))


@program()
def tabular_transformer(run: Run) -> None:
    k = run.keras
    ids, numbers = run.random.integers(0, 6, size=(640, 3)), run.normal(640, 2)
    labels = ((ids[:, :1] % 2) + np.nan_to_num(numbers)[:, :1] > 0.5).astype("float32")
    inputs = {f"c{i}": k.Input((), name=f"c{i}", dtype="int64") for i in range(3)} | {
        "numbers": k.Input((2,), name="numbers")
    }
    tokens = [k.layers.Reshape((1, 8))(k.layers.Embedding(6, 8)(inputs[f"c{i}"])) for i in range(3)]
    x = k.layers.Concatenate(axis=1)(tokens)
    x = k.layers.Add()([x, k.layers.MultiHeadAttention(2, 8, dropout=0.1)(x, x)])
    x = k.layers.Flatten()(k.layers.LayerNormalization(epsilon=1e-6)(x))
    x = k.layers.Concatenate()([x, k.layers.LayerNormalization(epsilon=1e-6)(inputs["numbers"])])
    x = k.layers.Dense(16, activation="selu")(k.layers.BatchNormalization()(x))
    model = k.Model(inputs, k.layers.Dense(1, activation="sigmoid")(x))
    weights = np.abs(run.random.normal(size=(640, 1))).astype("float32")
    optimizer = run.optimizer(k.optimizers.AdamW, 0.01, weight_decay=1e-4)
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=[k.metrics.BinaryAccuracy(name="accuracy")])
    features = {f"c{i}": ids[:, i] for i in range(3)} | {"numbers": numbers}
    run.fit(model, tf.data.Dataset.from_tensor_slices((features, labels, weights)).batch(64), epochs=4)


@program()
def images_with_augmentation(run: Run) -> None:
    k = run.keras
    labels = run.random.integers(0, 2, 256)
    images = run.data(
        run.random.normal(size=(256, 8, 8, 1)) * 20
        + 128
        + 80 * labels[:, None, None, None] * np.eye(8)[None, :, :, None]
    )
    augmentation = k.Sequential([k.layers.RandomFlip("horizontal", seed=1), k.layers.RandomRotation(0.05, seed=2)])
    inputs = k.Input((8, 8, 1))
    x = k.layers.Rescaling(1.0 / 255)(augmentation(inputs))
    for width in (4, 8):
        x = k.layers.SeparableConv2D(width, 3, padding="same")(x)
        x = k.layers.Activation("relu")(k.layers.BatchNormalization()(x))
    x = k.layers.Dropout(0.2, seed=3)(k.layers.GlobalAveragePooling2D()(x))
    model = k.Model(inputs, k.layers.Dense(2)(x))
    model.compile(
        run.optimizer(k.optimizers.Adam, 0.02),
        k.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16).cache().prefetch(1)
    run.fit(model, dataset, epochs=4, validation_data=dataset.take(2))


@program()
def segmentation_and_autoencoder(run: Run) -> None:
    k = run.keras
    images = run.data(run.random.random((192, 8, 8, 1)))
    masks = (np.nan_to_num(images) > 0.5).astype("uint8")
    inputs = k.Input((8, 8, 1))
    down = k.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    up = k.layers.UpSampling2D(2)(k.layers.Conv2DTranspose(8, 3, padding="same", activation="relu")(down))
    joined = k.layers.Concatenate()([up, inputs])
    segment = k.Model(inputs, k.layers.Conv2D(2, 3, activation="softmax", padding="same")(joined))
    segment.compile(run.optimizer(k.optimizers.Adam, 0.01), "sparse_categorical_crossentropy")
    run.fit(segment, images, masks, epochs=4, batch_size=16)

    class Autoencoder(k.Model):
        def __init__(self):
            super().__init__()
            self.encoder = k.Sequential([k.layers.Flatten(), k.layers.Dense(16, activation="relu")])
            self.decoder = k.Sequential([k.layers.Dense(64, activation="sigmoid"), k.layers.Reshape((8, 8, 1))])

        def call(self, x):
            return self.decoder(self.encoder(x))

    model = Autoencoder()
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), loss=k.losses.MeanSquaredError())
    run.fit(model, images, images, epochs=4, batch_size=16, validation_data=(images[:32], images[:32]))


@program()
def forecast_of_a_series(run: Run) -> None:
    k = run.keras
    series = run.data(np.sin(np.arange(600) / 5)[:, None] + run.random.normal(size=(600, 2)) * 0.1)
    dataset = k.utils.timeseries_dataset_from_array(
        series[:-8], np.nan_to_num(series)[8:, :1], sequence_length=8, batch_size=32
    )
    model = k.Sequential([k.layers.LSTM(8, return_sequences=False), k.layers.Dense(1)])
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01), loss="mse", metrics=[k.metrics.MeanAbsoluteError()])
    run.fit(
        model,
        dataset,
        epochs=4,
        validation_data=dataset.take(2),
        callbacks=run.callbacks(k.callbacks.EarlyStopping(patience=2)),
    )

    class Residual(k.Model):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def call(self, inputs, *arguments, **options):
            return inputs[:, -1, :1] + self.model(inputs, *arguments, **options)

    wrapped = Residual(k.Sequential([k.layers.GRU(8), k.layers.Dense(1, kernel_initializer="zeros")]))
    wrapped.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01), loss="mse")
    run.fit(wrapped, dataset, epochs=3)


@program()
def boxes_and_classes(run: Run) -> None:
    k = run.keras
    x = run.normal(512, 6)
    clean = np.nan_to_num(x)
    y = {"box": clean[:, :4], "kind": (clean[:, 4] > 0).astype("int32"), "score": (clean[:, 5:] > 0).astype("float32")}

    class Detector(k.Model):
        def __init__(self):
            super().__init__()
            self.trunk = k.layers.Dense(16, activation="relu")
            self.heads = {
                "box": k.layers.Dense(4),
                "kind": k.layers.Dense(2),
                "score": k.layers.Dense(1, activation="sigmoid"),
            }

        def call(self, x):
            hidden = self.trunk(x)
            return {name: head(hidden) for name, head in self.heads.items()}

    model = Detector()
    model.compile(
        run.optimizer(k.optimizers.Adam, 0.01),
        loss={
            "box": "mse",
            "kind": k.losses.SparseCategoricalCrossentropy(from_logits=True),
            "score": k.losses.BinaryCrossentropy(),
        },
        loss_weights={"box": 1.0, "kind": 2.0, "score": 0.5},
        metrics={"box": "mae", "kind": "accuracy"},
    )
    weights = {name: run.random.random(512).astype("float32") for name in y} if run.version == 2 else None
    run.fit(model, x, y, sample_weight=weights, epochs=4, batch_size=32)


@program()
def shared_and_repeated_layers(run: Run) -> None:
    k = run.keras
    left, right = run.normal(512, 5), run.random.normal(size=(512, 5)).astype("float32")
    y = (np.nan_to_num(left) * right).sum(axis=1, keepdims=True)
    shared = k.layers.Dense(16, activation="relu", name="shared")

    class Towers(k.Model):
        def __init__(self):
            super().__init__()
            self.shared, self.steps = shared, [k.layers.Dense(16, activation="tanh") for _ in range(2)]
            self.head = k.layers.Dense(1)

        def call(self, inputs, training=None):
            one, two = (self.shared(x) for x in inputs)
            for _ in range(2):
                for step in self.steps:
                    one = one + step(one * two)
            return self.head(k.layers.concatenate([one, two]))

    model = Towers()
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
    run.fit(model, [left, right], y, epochs=4, batch_size=32)


@program()
def physics_informed(run: Run) -> None:
    k = run.keras
    points = run.data(run.random.random((512, 1)))

    class Solver(k.Model):
        def __init__(self):
            super().__init__()
            self.network = k.Sequential(
                [
                    k.Input((1,)),
                    k.layers.Dense(16, activation="tanh"),
                    k.layers.Dense(16, activation="tanh"),
                    k.layers.Dense(1),
                ]
            )
            self.trackers = [k.metrics.Mean(name="loss"), k.metrics.Mean(name="residual")]

        @property
        def metrics(self):
            return self.trackers

        def call(self, x):
            return self.network(x)

        def train_step(self, data):
            x = data[0] if isinstance(data, tuple) else data
            with tf.GradientTape() as tape:
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    u = self.network(x)
                residual = tf.reduce_mean(tf.square(inner.gradient(u, x) - u))
                loss = residual + tf.reduce_mean(tf.square(self.network(tf.zeros((1, 1))) - 1.0))
            variables = self.network.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            for tracker, value in zip(self.trackers, (loss, residual), strict=True):
                tracker.update_state(value)
            return {m.name: m.result() for m in self.metrics}

    model = Solver()
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, points, epochs=4, batch_size=32)
    variables = model.predict(points[:4], verbose=0)
    run.record(model, {"solution": variables})


@program()
def optimizer_options(run: Run) -> None:
    k = run.keras
    x = run.normal(512, 6)
    y = np.nan_to_num(x).sum(axis=1, keepdims=True)
    options: list[dict[str, Any]] = [
        {"clipnorm": 1.0, "weight_decay": 0.001},
        {"global_clipnorm": 0.5},
        {"use_ema": True, "ema_overwrite_frequency": 5},
    ]
    if run.version == 3:
        options += [{"gradient_accumulation_steps": 3}, {"loss_scale_factor": 8.0}]
    for arguments in options:
        model = k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(16, activation="relu", kernel_constraint=k.constraints.MaxNorm(3)),
                k.layers.Dense(1),
            ]
        )
        model.compile(run.optimizer(k.optimizers.Adam, 0.01, **arguments), "mse")
        swap = [k.callbacks.SwapEMAWeights(swap_on_epoch=True)] if run.version == 3 and "use_ema" in arguments else []
        run.fit(model, x, y, epochs=3, batch_size=32, callbacks=run.callbacks(*swap))
