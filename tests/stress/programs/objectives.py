"""Programs with unusual models and objectives: contrastive, siamese, adversarial cycles, endpoints, graphs, quantization."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..kit import Run, program


def _labeled(run: Run, rows: int = 640, width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    labels = run.random.integers(0, 3, rows)
    centers = np.random.default_rng(5).normal(size=(3, width)) * 2
    return run.data(centers[labels] + run.random.normal(size=(rows, width))), labels


@program()
def supervised_contrastive(run: Run) -> None:
    k, (x, labels) = run.keras, _labeled(run)

    class Contrastive(k.losses.Loss):
        def __init__(self, temperature=0.5, name=None):
            super().__init__(name=name)
            self.temperature = temperature

        def call(self, y_true, y_pred):
            y_true = tf.reshape(tf.cast(y_true, tf.int32), [-1])
            vectors = tf.math.l2_normalize(y_pred, axis=1)
            logits = tf.matmul(vectors, vectors, transpose_b=True) / self.temperature
            same = tf.cast(y_true[:, None] == y_true[None], tf.float32)
            same /= tf.reduce_sum(same, axis=1, keepdims=True)
            return tf.nn.softmax_cross_entropy_with_logits(labels=same, logits=logits)

    encoder = k.Sequential([k.Input((8,)), k.layers.Dense(16, activation="relu"), k.layers.Dense(8)], name="encoder")
    inputs = k.Input((8,))
    projected = k.Model(inputs, k.layers.Dense(8, activation="relu")(encoder(inputs)))
    projected.compile(run.optimizer(k.optimizers.Adam, 0.003), Contrastive())
    run.fit(projected, x, labels, batch_size=64, epochs=4)
    encoder.trainable = False
    classifier = k.Model(inputs, k.layers.Dense(3, activation="softmax")(encoder(inputs, training=False)))
    classifier.compile(
        run.optimizer(k.optimizers.Adam, 0.02),
        k.losses.SparseCategoricalCrossentropy(),
        metrics=["sparse_categorical_accuracy"],
    )
    run.fit(classifier, x, labels, batch_size=64, epochs=4)


@program()
def self_supervised_pairs(run: Run) -> None:
    k, (x, labels) = run.keras, _labeled(run)

    class SimClr(k.Model):
        def __init__(self):
            super().__init__()
            self.noise = k.layers.GaussianNoise(0.1, seed=3)
            self.encoder = k.Sequential([k.Input((8,)), k.layers.Dense(16, activation="relu"), k.layers.Dense(8)])
            self.head = k.Sequential([k.Input((8,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(8)])
            self.probe = k.Sequential([k.Input((8,)), k.layers.Dense(3)])

        def compile(self, contrastive_optimizer, probe_optimizer, **options):
            super().compile(**options)
            self.contrastive_optimizer, self.probe_optimizer = contrastive_optimizer, probe_optimizer
            self.probe_loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
            self.trackers = [
                k.metrics.Mean(name="c_loss"),
                k.metrics.Mean(name="p_loss"),
                k.metrics.SparseCategoricalAccuracy(name="p_acc"),
            ]

        @property
        def metrics(self):
            return self.trackers

        def train_step(self, data):
            (unlabeled, _), (labeled, labels) = data
            with tf.GradientTape() as tape:
                one, two = (self.head(self.encoder(self.noise(unlabeled, training=True))) for _ in range(2))
                one, two = tf.math.l2_normalize(one, axis=1), tf.math.l2_normalize(two, axis=1)
                similar = tf.matmul(one, two, transpose_b=True) / 0.1
                rows = tf.range(tf.shape(similar)[0])
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=rows, logits=similar))
            weights = self.encoder.trainable_weights + self.head.trainable_weights
            self.contrastive_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            with tf.GradientTape() as tape:
                logits = self.probe(self.encoder(labeled, training=False))
                probe_loss = self.probe_loss(labels, logits)
            weights = self.probe.trainable_weights
            self.probe_optimizer.apply_gradients(zip(tape.gradient(probe_loss, weights), weights, strict=True))
            self.trackers[0].update_state(loss)
            self.trackers[1].update_state(probe_loss)
            self.trackers[2].update_state(labels, logits)
            return {m.name: m.result() for m in self.metrics}

        def test_step(self, data):
            x, labels = data
            self.trackers[2].update_state(labels, self.probe(self.encoder(x, training=False), training=False))
            return {m.name: m.result() for m in self.metrics[2:]}

    model = SimClr()
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), run.optimizer(k.optimizers.Adam, 0.01))
    dataset = tf.data.Dataset.from_tensor_slices((x, labels)).batch(64, drop_remainder=True)
    both = tf.data.Dataset.zip((dataset, dataset.shuffle(4, seed=1))).prefetch(1)
    run.fit(model, both, epochs=4, validation_data=dataset.take(2))


@program()
def siamese_triplets(run: Run) -> None:
    k, (x, labels) = run.keras, _labeled(run, 768)
    order = np.argsort(labels, kind="stable")
    anchor, positive, negative = x[order], x[np.roll(order, 1)], x[np.roll(order, 300)]
    embedding = k.Sequential(
        [k.Input((8,)), k.layers.Dense(16, activation="relu"), k.layers.BatchNormalization(), k.layers.Dense(4)],
        name="Embedding",
    )

    class Distance(k.layers.Layer):
        def call(self, anchor, positive, negative):
            return tf.reduce_sum(tf.square(anchor - positive), -1), tf.reduce_sum(tf.square(anchor - negative), -1)

    class Siamese(k.Model):
        def __init__(self, network, margin=0.5):
            super().__init__()
            self.network, self.margin = network, margin
            self.loss_tracker = k.metrics.Mean(name="loss")

        def call(self, inputs):
            return self.network(inputs)

        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = self._compute_loss(data)
            gradients = tape.gradient(loss, self.network.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.network.trainable_weights, strict=True))
            self.loss_tracker.update_state(loss)
            return {"loss": self.loss_tracker.result()}

        def test_step(self, data):
            self.loss_tracker.update_state(self._compute_loss(data))
            return {"loss": self.loss_tracker.result()}

        def _compute_loss(self, data):
            near, far = self.network(data)
            return tf.maximum(near - far + self.margin, 0.0)

        @property
        def metrics(self):
            return [self.loss_tracker]

    inputs = [k.Input((8,), name=name) for name in ("anchor", "positive", "negative")]
    network = k.Model(inputs, Distance()(*[embedding(x) for x in inputs]))
    model = Siamese(network)
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.003))
    dataset = tf.data.Dataset.zip(
        tuple(tf.data.Dataset.from_tensor_slices(v) for v in (anchor, positive, negative))
    ).batch(32)
    run.fit(model, dataset, epochs=4, validation_data=dataset.take(2))


@program(falls=False)
def cycle_of_two_generators(run: Run) -> None:
    k = run.keras
    horses, zebras = run.normal(384, 6), run.random.normal(size=(384, 6)).astype("float32") + 2

    def network(units):
        return k.Sequential([k.Input((6,)), k.layers.Dense(8), k.layers.LeakyReLU(), k.layers.Dense(units)])

    class Cycle(k.Model):
        def __init__(self):
            super().__init__()
            self.gen_g, self.gen_f, self.disc_x, self.disc_y = network(6), network(6), network(1), network(1)

        def compile(self, optimizers, gen_loss_fn, disc_loss_fn):
            super().compile()
            self.optimizers, self.gen_loss_fn, self.disc_loss_fn = optimizers, gen_loss_fn, disc_loss_fn
            self.cycle_loss_fn = self.identity_loss_fn = k.losses.MeanAbsoluteError()

        def call(self, inputs):
            return self.disc_x(inputs), self.disc_y(inputs), self.gen_g(inputs), self.gen_f(inputs)

        def train_step(self, batch):
            real_x, real_y = batch
            with tf.GradientTape(persistent=True) as tape:
                fake_y, fake_x = self.gen_g(real_x, training=True), self.gen_f(real_y, training=True)
                cycle = self.cycle_loss_fn(real_y, self.gen_g(fake_x)) + self.cycle_loss_fn(real_x, self.gen_f(fake_y))
                g_loss = self.gen_loss_fn(self.disc_y(fake_y)) + 10 * cycle
                f_loss = self.gen_loss_fn(self.disc_x(fake_x)) + 10 * cycle
                x_loss = self.disc_loss_fn(self.disc_x(real_x), self.disc_x(fake_x))
                y_loss = self.disc_loss_fn(self.disc_y(real_y), self.disc_y(fake_y))
            parts = zip(
                (g_loss, f_loss, x_loss, y_loss),
                (self.gen_g, self.gen_f, self.disc_x, self.disc_y),
                self.optimizers,
                strict=True,
            )
            for loss, part, optimizer in parts:
                optimizer.apply_gradients(
                    zip(tape.gradient(loss, part.trainable_variables), part.trainable_variables, strict=True)
                )
            return {"G_loss": g_loss, "F_loss": f_loss, "D_X_loss": x_loss, "D_Y_loss": y_loss}

    def generator_loss(fake):
        return k.losses.MeanSquaredError()(tf.ones_like(fake), fake)

    def discriminator_loss(real, fake):
        return 0.5 * (generator_loss(real) + k.losses.MeanSquaredError()(tf.zeros_like(fake), fake))

    model = Cycle()
    model.compile(
        [run.optimizer(k.optimizers.Adam, 2e-3, beta_1=0.5) for _ in range(4)], generator_loss, discriminator_loss
    )
    dataset = tf.data.Dataset.zip(tuple(tf.data.Dataset.from_tensor_slices(v).batch(16) for v in (horses, zebras)))
    run.fit(model, dataset, epochs=2)


@program()
def endpoint_layer_without_labels(run: Run) -> None:
    k, (x, labels) = run.keras, _labeled(run)
    y = (labels[:, None] > 0).astype("float32")

    class Endpoint(k.layers.Layer):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.loss_fn = k.losses.BinaryCrossentropy(from_logits=True)
            self.accuracy_fn = k.metrics.BinaryAccuracy(name="accuracy")

        def call(self, logits, targets=None, sample_weight=None):
            if targets is not None:
                self.add_loss(self.loss_fn(targets, logits, sample_weight))
                if run.version == 2:
                    self.add_metric(self.accuracy_fn(targets, logits, sample_weight))
            return tf.nn.sigmoid(logits)

    class LogReg(k.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.endpoint = k.layers.Dense(1), Endpoint("predictions")

        def call(self, inputs):
            return self.endpoint(
                self.dense(inputs["inputs"]), targets=inputs["targets"], sample_weight=inputs["weight"]
            )

    inputs, targets, weight = k.Input((8,), name="inputs"), k.Input((1,), name="targets"), k.Input((1,), name="weight")
    functional = k.Model([inputs, targets, weight], Endpoint()(k.layers.Dense(1)(inputs), targets, weight))
    data = {"inputs": x, "targets": y, "weight": run.random.random((len(x), 1)).astype("float32")}
    for model in (functional, LogReg()):
        model.compile(run.optimizer(k.optimizers.Adam, 0.02))
        run.fit(model, data if run.version == 2 else tf.data.Dataset.from_tensor_slices(data).batch(32), epochs=3)


@program()
def graph_with_sparse_neighbors(run: Run) -> None:
    k = run.keras
    nodes, edges = 60, 240
    labels = run.random.integers(0, 3, nodes)
    features = run.data(np.eye(3)[labels] + run.random.normal(size=(nodes, 3)))
    ends = np.stack([run.random.integers(0, nodes, edges), run.random.integers(0, nodes, edges)])
    ends = ends[:, labels[ends[0]] == labels[ends[1]]]

    class Convolution(k.layers.Layer):
        def __init__(self, ends):
            super().__init__()
            self.ends = ends
            self.prepare, self.update = k.layers.Dense(8, activation="relu"), k.layers.Dense(8, activation="relu")

        def call(self, states):
            messages = tf.math.unsorted_segment_mean(tf.gather(self.prepare(states), self.ends[1]), self.ends[0], nodes)
            return tf.math.l2_normalize(self.update(tf.concat([states, messages], axis=1)), axis=-1)

    class Classifier(k.Model):
        def __init__(self):
            super().__init__()
            self.features, self.adjacency = tf.constant(features), tf.constant(ends)
            self.conv, self.head = Convolution(self.adjacency), k.layers.Dense(3)

        def call(self, indices):
            return tf.gather(self.head(self.conv(self.features)), tf.reshape(tf.cast(indices, tf.int32), [-1]))

    model = Classifier()
    model.compile(
        run.optimizer(k.optimizers.Adam, 0.01),
        k.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc"],
    )
    rows = np.tile(np.arange(nodes), 8)
    run.fit(model, rows, labels[rows], epochs=6, batch_size=16)


@program(2)
def sparse_feature_batches(run: Run) -> None:
    k = run.keras
    dense = (run.random.random((512, 40)) < 0.1).astype("float32")
    y = (dense[:, :10].sum(axis=1) > 1).astype("float32")
    inputs = k.Input((40,), sparse=True)
    model = k.Model(inputs, k.layers.Dense(1, activation="sigmoid")(k.layers.Dense(8, activation="relu")(inputs)))
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "binary_crossentropy", metrics=["AUC"])
    dataset = tf.data.Dataset.from_tensor_slices((tf.sparse.from_dense(dense), y)).batch(32)
    run.fit(model, dataset, epochs=4)


@program()
def vector_quantizer(run: Run) -> None:
    k, (x, _) = run.keras, _labeled(run)

    class Quantizer(k.layers.Layer):
        def __init__(self, count, width, **options):
            super().__init__(**options)
            self.count = count
            self.table = self.add_weight(
                shape=(width, count), initializer="random_uniform", trainable=True, name="embeddings_vqvae"
            )

        def call(self, x):
            distances = (
                tf.reduce_sum(x**2, axis=1, keepdims=True)
                + tf.reduce_sum(self.table**2, axis=0)
                - 2 * tf.matmul(x, self.table)
            )
            found = tf.matmul(tf.one_hot(tf.argmin(distances, axis=1), self.count), self.table, transpose_b=True)
            self.add_loss(
                0.25 * tf.reduce_mean((tf.stop_gradient(found) - x) ** 2)
                + tf.reduce_mean((found - tf.stop_gradient(x)) ** 2)
            )
            return x + tf.stop_gradient(found - x)

    class Trainer(k.Model):
        def __init__(self, variance):
            super().__init__()
            self.variance = variance
            self.vqvae = k.Sequential([k.Input((8,)), k.layers.Dense(4), Quantizer(8, 4), k.layers.Dense(8)])
            self.total, self.rebuild = k.metrics.Mean(name="loss"), k.metrics.Mean(name="reconstruction_loss")

        @property
        def metrics(self):
            return [self.total, self.rebuild]

        def train_step(self, x):
            with tf.GradientTape() as tape:
                rebuild = tf.reduce_mean((x - self.vqvae(x)) ** 2) / self.variance
                total = rebuild + sum(self.vqvae.losses)
            variables = self.vqvae.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(total, variables), variables, strict=True))
            self.total.update_state(total)
            self.rebuild.update_state(rebuild)
            return {"loss": self.total.result(), "reconstruction_loss": self.rebuild.result()}

    model = Trainer(float(np.nanvar(x)))
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, x, epochs=4, batch_size=32)


@program(falls=False)
def reptile_of_few_shots(run: Run) -> None:
    k = run.keras
    model: Any = k.Sequential(
        [k.Input((4,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(2, activation="softmax")]
    )
    x = run.normal(256, 4)
    model.compile(run.optimizer(k.optimizers.SGD, 0.01), "sparse_categorical_crossentropy")
    for task in range(4):
        old = model.get_weights()
        y = (np.nan_to_num(x)[:, task] > 0).astype("int32")
        run.fit(model, x, y, batch_size=16, epochs=1, callbacks=run.callbacks(again=task > 0))
        model.set_weights(
            [before + 0.5 * (after - before) for before, after in zip(old, model.get_weights(), strict=True)]
        )
