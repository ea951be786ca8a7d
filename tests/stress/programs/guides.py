"""Programs in the manner of Keras's guides: own steps in fit, own train functions, and features of one version of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..kit import Run, program


def _regression(run: Run, rows: int = 640) -> tuple[np.ndarray, np.ndarray]:
    x = run.normal(rows, 6)
    return x, np.nan_to_num(x).sum(axis=1, keepdims=True)


def _functional(k: Any, model_class: Any) -> Any:
    inputs = k.Input((6,))
    return model_class(inputs, k.layers.Dense(1)(k.layers.Dense(16, activation="relu")(inputs)))


@program(3)
def own_step_with_apply_and_sample_weight(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)

    class Custom(k.Model):
        def train_step(self, data):
            x, y, sample_weight = data if len(data) == 3 else (*data, None)
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred, sample_weight=sample_weight)
            return {m.name: m.result() for m in self.metrics}

    model = _functional(k, Custom)
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01), loss="mse", metrics=["mae"])
    run.fit(model, x, y, sample_weight=run.random.random((640, 1)), epochs=3)


@program()
def own_step_with_own_loss_and_metric(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)

    class Custom(k.Model):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.loss_tracker = k.metrics.Mean(name="loss")
            self.mae_metric = k.metrics.MeanAbsoluteError(name="mae")
            self.loss_fn = k.losses.MeanSquaredError()

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.loss_fn(y, y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            self.loss_tracker.update_state(loss)
            self.mae_metric.update_state(y, y_pred)
            return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae_metric]

    model = _functional(k, Custom)
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, x, y, epochs=4)


@program()
def trainer_around_two_models(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    labels = (y[:, 0] > 0).astype("int32")

    class Trainer(k.Model):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self.model(x, training=True)
                if run.version == 2:
                    loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
                else:
                    loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            if run.version == 2:
                self.compiled_metrics.update_state(y, y_pred)
                return {m.name: m.result() for m in self.metrics}
            return self.compute_metrics(x, y, y_pred) | {"loss": loss}

        def call(self, x):
            return self.model(x)

    for make, rate in ((k.optimizers.SGD, 0.05), (k.optimizers.Adam, 0.01)):
        network = k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(16, activation="relu"),
                k.layers.Dropout(0.2, seed=1),
                k.layers.Dense(2, activation="softmax"),
            ]
        )
        model = Trainer(network)
        model.compile(run.optimizer(make, rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        run.fit(model, x, labels, epochs=3, validation_data=(x[:64], labels[:64]))


@program(2)
def own_train_function(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)

    class Looping(k.Model):
        def make_train_function(self, force=False):
            if self.train_function is None or force:

                @tf.function
                def train_function(iterator):
                    logs = self.train_step(next(iterator))
                    return {"loss": logs["loss"]}

                self.train_function = train_function
            return self.train_function

        def train_step(self, data):
            x, y = k.utils.unpack_x_y_sample_weight(data)[:2]
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(y - self(x, training=True)))
            self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
            return {"loss": loss}

    model = _functional(k, Looping)
    model.compile(run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, x, y, epochs=4)


@program(2)
def functional_with_added_losses(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    inputs, targets = k.Input((6,)), k.Input((1,))
    hidden = k.layers.Dense(16, activation="relu", activity_regularizer=k.regularizers.l2(1e-4))(inputs)
    outputs = k.layers.Dense(1)(k.layers.Lambda(lambda h: h * 0.5)(hidden))
    model = k.Model([inputs, targets], outputs)
    model.add_loss(tf.reduce_mean(tf.square(outputs - targets)))
    model.add_metric(tf.reduce_mean(tf.abs(outputs - targets)), name="mae", aggregation="mean")
    model.compile(run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, [x, y], epochs=4)


@program(3)
def low_rank_adaption(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)
    model = k.Sequential([k.Input((6,)), k.layers.Dense(16, activation="relu", name="frozen"), k.layers.Dense(1)])
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
    run.fit(model, x, y, epochs=2)
    model.get_layer("frozen").enable_lora(rank=2)
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "mse")
    run.fit(model, x, y, epochs=2)


@program(3)
def operations_and_seed_generators(run: Run) -> None:
    k, (x, y) = run.keras, _regression(run)

    class Noisy(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.seed_generator = k.random.SeedGenerator(11)

        def call(self, x, training=False):
            noise = k.random.normal(k.ops.shape(x), stddev=0.1, seed=self.seed_generator)
            return x + noise if training else x

    class Noised(k.Model):
        def __init__(self):
            super().__init__()
            self.noisy, self.hidden, self.drop, self.head = (
                Noisy(),
                k.layers.Dense(16, activation="gelu"),
                k.layers.Dropout(0.1),
                k.layers.Dense(1),
            )

        def call(self, x, training=False):
            return self.head(self.drop(self.hidden(self.noisy(x, training=training)), training=training))

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return k.ops.mean(k.ops.square(y - y_pred)) + 1e-3 * k.ops.mean(k.ops.abs(self.hidden.kernel))

    model = Noised()
    model.compile(run.optimizer(k.optimizers.Lion, 0.003))
    run.fit(model, x, y, epochs=4)


@program()
def recommender_with_negative_sampling(run: Run) -> None:
    k = run.keras
    users = run.random.integers(0, 30, 768)
    positive, negative = users % 10 + 10 * run.random.integers(0, 3, 768), run.random.integers(0, 30, 768)

    class Bayesian(k.Model):
        def __init__(self):
            super().__init__()
            self.users, self.items = k.layers.Embedding(30, 8), k.layers.Embedding(30, 8)
            self.loss_tracker = k.metrics.Mean(name="bpr_loss")

        def call(self, inputs):
            return tf.reduce_sum(self.users(inputs["user"]) * self.items(inputs["item"]), axis=-1)

        @property
        def metrics(self):
            return [self.loss_tracker]

        def train_step(self, data):
            with tf.GradientTape() as tape:
                better = self({"user": data["user"], "item": data["positive"]})
                worse = self({"user": data["user"], "item": data["negative"]})
                loss = -tf.reduce_mean(tf.math.log_sigmoid(better - worse))
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            self.loss_tracker.update_state(loss)
            return {"bpr_loss": self.loss_tracker.result()}

    model = Bayesian()
    model.compile(optimizer=run.optimizer(k.optimizers.Adagrad, 0.3))
    dataset = tf.data.Dataset.from_tensor_slices({"user": users, "positive": positive, "negative": negative}).batch(32)
    run.fit(model, dataset, epochs=4)
    predicted = model({"user": tf.constant([1]), "item": tf.constant([2])})
    run.record(model, {"score": np.array(predicted)})


@program(2)
def sampled_softmax_sequences(run: Run) -> None:
    k = run.keras
    chain = (run.random.integers(0, 50, size=(512, 1)) + np.arange(7)) % 50

    class Gru(k.Model):
        def __init__(self):
            super().__init__()
            self.table = k.layers.Embedding(50, 8)
            self.gru = k.layers.GRU(8)
            self.output_weights = self.add_weight("output_weights", shape=(50, 8))
            self.output_biases = self.add_weight("output_biases", shape=(50,), initializer="zeros")

        def call(self, ids):
            return self.gru(self.table(ids))

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                hidden = self(x, training=True)
                loss = tf.reduce_mean(
                    tf.nn.sampled_softmax_loss(
                        self.output_weights, self.output_biases, y, hidden, num_sampled=8, num_classes=50, seed=5
                    )
                )
            self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
            return {"loss": loss, "learning_rate": self.optimizer.learning_rate}

    model = Gru()
    model.compile(run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, chain[:, :6], chain[:, 6:], epochs=4, batch_size=32)
