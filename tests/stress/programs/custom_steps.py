"""Programs with a training step of their own, as in Keras's code examples."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ..kit import Run, program


def _digits(run: Run, rows: int = 512) -> np.ndarray:
    """Small images of two kinds."""
    kind = run.random.integers(0, 2, size=(rows, 1, 1, 1))
    stripe = np.linspace(0, 1, 8).reshape(1, 8, 1, 1) * np.ones((1, 1, 8, 1))
    images = np.where(kind, stripe, 1 - stripe) + run.random.normal(size=(rows, 8, 8, 1)) * 0.05
    return run.data(np.clip(images, 0, 1))


@program()
def variational_autoencoder(run: Run) -> None:
    k, images = run.keras, _digits(run)
    layers = k.layers

    class Sampling(layers.Layer):
        def call(self, inputs):
            mean, log_variance = inputs
            noise = tf.random.normal(tf.shape(mean), seed=3)
            return mean + tf.exp(0.5 * log_variance) * noise

    class Vae(k.Model):
        def __init__(self, encoder, decoder):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.sampling = Sampling()
            self.total = k.metrics.Mean(name="loss")
            self.divergence = k.metrics.Mean(name="kl_loss")

        @property
        def metrics(self):
            return [self.total, self.divergence]

        def train_step(self, data):
            with tf.GradientTape() as tape:
                mean, log_variance = self.encoder(data)
                rebuilt = self.decoder(self.sampling([mean, log_variance]))
                pixels = tf.reduce_mean(
                    tf.reduce_sum(tf.reshape(k.losses.binary_crossentropy(data, rebuilt), [-1, 64]), axis=1)
                )
                divergence = -0.5 * (1 + log_variance - tf.square(mean) - tf.exp(log_variance))
                divergence = tf.reduce_mean(tf.reduce_sum(divergence, axis=1))
                total = pixels + divergence
            gradients = tape.gradient(total, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self.total.update_state(total)
            self.divergence.update_state(divergence)
            return {"loss": self.total.result(), "kl_loss": self.divergence.result()}

    inputs = k.Input((8, 8, 1))
    hidden = layers.Dense(16, activation="relu")(
        layers.Flatten()(layers.Conv2D(4, 3, strides=2, activation="relu")(inputs))
    )
    encoder = k.Model(inputs, [layers.Dense(2, name="mean")(hidden), layers.Dense(2, name="log_variance")(hidden)])
    decoder = k.Sequential(
        [
            k.Input((2,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(64, activation="sigmoid"),
            layers.Reshape((8, 8, 1)),
        ]
    )
    model = Vae(encoder, decoder)
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01))
    run.fit(model, images, epochs=4, batch_size=32)


@program(falls=False)
def adversarial(run: Run) -> None:
    k, images = run.keras, _digits(run)
    layers = k.layers

    class Gan(k.Model):
        def __init__(self, discriminator, generator, width):
            super().__init__()
            self.discriminator, self.generator, self.width = discriminator, generator, width

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn
            self.d_metric, self.g_metric = k.metrics.Mean(name="d_loss"), k.metrics.Mean(name="g_loss")

        @property
        def metrics(self):
            return [self.d_metric, self.g_metric]

        def train_step(self, real):
            rows = tf.shape(real)[0]
            fake = self.generator(tf.random.normal((rows, self.width), seed=1))
            both = tf.concat([fake, real], axis=0)
            labels = tf.concat([tf.ones((rows, 1)), tf.zeros((rows, 1))], axis=0)
            with tf.GradientTape() as tape:
                d_loss = self.loss_fn(labels, self.discriminator(both))
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
            with tf.GradientTape() as tape:
                fake = self.generator(tf.random.normal((rows, self.width), seed=2))
                g_loss = self.loss_fn(tf.zeros((rows, 1)), self.discriminator(fake))
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
            self.d_metric.update_state(d_loss)
            self.g_metric.update_state(g_loss)
            return {"d_loss": self.d_metric.result(), "g_loss": self.g_metric.result()}

    discriminator = k.Sequential(
        [
            k.Input((8, 8, 1)),
            layers.Conv2D(4, 3, strides=2),
            layers.LeakyReLU(),
            layers.Flatten(),
            layers.Dropout(0.2, seed=5),
            layers.Dense(1),
        ]
    )
    generator = k.Sequential(
        [
            k.Input((4,)),
            layers.Dense(64),
            layers.Reshape((8, 8, 1)),
            layers.Conv2DTranspose(4, 3, padding="same"),
            layers.LeakyReLU(),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model = Gan(discriminator, generator, 4)
    model.compile(
        run.optimizer(k.optimizers.Adam, 1e-3),
        run.optimizer(k.optimizers.Adam, 1e-3),
        k.losses.BinaryCrossentropy(from_logits=True),
    )
    run.fit(model, tf.data.Dataset.from_tensor_slices(images).batch(32), epochs=3)


@program(falls=False)
def wasserstein_with_gradient_penalty(run: Run) -> None:
    k, images = run.keras, _digits(run, 256)
    layers = k.layers

    class Wgan(k.Model):
        def __init__(self, critic, generator):
            super().__init__()
            self.critic, self.generator = critic, generator

        def compile(self, d_optimizer, g_optimizer, d_loss_fn, g_loss_fn):
            super().compile()
            self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
            self.d_loss_fn, self.g_loss_fn = d_loss_fn, g_loss_fn

        def penalty(self, rows, real, fake):
            mixed = real + tf.random.uniform([rows, 1, 1, 1], seed=4) * (fake - real)
            with tf.GradientTape() as tape:
                tape.watch(mixed)
                score = self.critic(mixed, training=True)
            norm = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(score, [mixed])[0]), axis=[1, 2, 3]) + 1e-12)
            return tf.reduce_mean((norm - 1.0) ** 2)

        def train_step(self, real):
            if isinstance(real, tuple):
                real = real[0]
            rows = tf.shape(real)[0]
            for _ in range(2):
                with tf.GradientTape() as tape:
                    fake = self.generator(tf.random.normal((rows, 4), seed=6), training=True)
                    d_loss = self.d_loss_fn(self.critic(real, training=True), self.critic(fake, training=True))
                    d_loss += 10.0 * self.penalty(rows, real, fake)
                gradients = tape.gradient(d_loss, self.critic.trainable_variables)
                self.d_optimizer.apply_gradients(zip(gradients, self.critic.trainable_variables, strict=True))
            with tf.GradientTape() as tape:
                fake = self.generator(tf.random.normal((rows, 4), seed=8), training=True)
                g_loss = self.g_loss_fn(self.critic(fake, training=True))
            gradients = tape.gradient(g_loss, self.generator.trainable_variables)
            self.g_optimizer.apply_gradients(zip(gradients, self.generator.trainable_variables, strict=True))
            return {"d_loss": d_loss, "g_loss": g_loss}

    critic = k.Sequential(
        [k.Input((8, 8, 1)), layers.Conv2D(4, 3, strides=2), layers.LeakyReLU(), layers.Flatten(), layers.Dense(1)]
    )
    generator = k.Sequential(
        [
            k.Input((4,)),
            layers.Dense(64, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Reshape((8, 8, 1)),
            layers.Activation("tanh"),
        ]
    )
    model = Wgan(critic, generator)
    model.compile(
        d_optimizer=run.optimizer(k.optimizers.Adam, 2e-4),
        g_optimizer=run.optimizer(k.optimizers.Adam, 2e-4),
        d_loss_fn=lambda real, fake: tf.reduce_mean(fake) - tf.reduce_mean(real),
        g_loss_fn=lambda fake: -tf.reduce_mean(fake),
    )
    run.fit(model, images, epochs=3, batch_size=32)


@program()
def diffusion_with_moving_average(run: Run) -> None:
    k, images = run.keras, _digits(run)
    layers = k.layers

    def denoiser():
        picture, noise = k.Input((8, 8, 1)), k.Input((1, 1, 1))
        scale = layers.UpSampling2D(size=8, interpolation="nearest")(noise)
        x = layers.Concatenate()([picture, scale])
        x = layers.Conv2D(8, 3, padding="same", activation="swish" if run.version == 2 else "silu")(x)
        x = layers.BatchNormalization(center=False, scale=False)(x)
        return k.Model([picture, noise], layers.Conv2D(1, 1, kernel_initializer="zeros")(x))

    class Diffusion(k.Model):
        def __init__(self):
            super().__init__()
            self.normalizer = layers.Normalization()
            self.network = denoiser()
            self.average = k.models.clone_model(self.network)

        def compile(self, **options):
            super().compile(**options)
            self.noise_loss = k.metrics.Mean(name="n_loss")

        @property
        def metrics(self):
            return [self.noise_loss]

        def call(self, pictures):
            return self.average([pictures, tf.ones((tf.shape(pictures)[0], 1, 1, 1))])

        def train_step(self, pictures):
            pictures = self.normalizer(pictures, training=True)
            noise = tf.random.normal(tf.shape(pictures), seed=1)
            rate = tf.random.uniform((tf.shape(pictures)[0], 1, 1, 1), 0.1, 0.9, seed=2)
            mixed = tf.sqrt(1 - rate**2) * pictures + rate * noise
            with tf.GradientTape() as tape:
                predicted = self.network([mixed, rate**2], training=True)
                loss = self.loss(noise, predicted)
            gradients = tape.gradient(loss, self.network.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.network.trainable_weights, strict=True))
            self.noise_loss.update_state(loss)
            for weight, average in zip(self.network.weights, self.average.weights, strict=True):
                average.assign(0.99 * average + 0.01 * weight)
            return {m.name: m.result() for m in self.metrics}

        def test_step(self, pictures):
            pictures = self.normalizer(pictures, training=False)
            loss = self.loss(
                pictures, self.average([pictures, tf.ones((tf.shape(pictures)[0], 1, 1, 1))], training=False)
            )
            self.noise_loss.update_state(loss)
            return {m.name: m.result() for m in self.metrics}

    model = Diffusion()
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01), loss=k.losses.mean_absolute_error)
    model.normalizer.adapt(np.nan_to_num(images))
    model.build(images.shape)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(32, drop_remainder=True)
    saver = k.callbacks.ModelCheckpoint(
        str(run.folder / "diffusion.weights.h5"),
        save_weights_only=True,
        monitor="val_n_loss",
        mode="min",
        save_best_only=True,
    )
    run.fit(model, dataset, epochs=4, validation_data=dataset.take(2), callbacks=run.callbacks(saver))


@program()
def distillation(run: Run) -> None:
    k = run.keras
    x = run.normal(1024, 6)
    y = (np.nan_to_num(x).sum(axis=1) > 0).astype("int32")

    def network(width):
        return k.Sequential([k.Input((6,)), k.layers.Dense(width, activation="relu"), k.layers.Dense(2)])

    class Distiller(k.Model):
        def __init__(self, student, teacher):
            super().__init__()
            self.teacher, self.student = teacher, student

        def compile(self, optimizer, metrics, student_loss_fn, distillation_loss_fn, alpha=0.1, temperature=3):
            super().compile(optimizer=optimizer, metrics=metrics)
            self.student_loss_fn, self.distillation_loss_fn = student_loss_fn, distillation_loss_fn
            self.alpha, self.temperature = alpha, temperature

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **options):
            teacher = self.teacher(x, training=False)
            soft = self.distillation_loss_fn(
                tf.nn.softmax(teacher / self.temperature), tf.nn.softmax(y_pred / self.temperature)
            )
            return self.alpha * self.student_loss_fn(y, y_pred) + (1 - self.alpha) * soft * self.temperature**2

        def call(self, x):
            return self.student(x)

    teacher = network(32)
    loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(run.optimizer(k.optimizers.Adam, 0.01), loss, metrics=[k.metrics.SparseCategoricalAccuracy()])
    run.fit(teacher, x, y, epochs=3, batch_size=32)
    model = Distiller(network(4), teacher)
    model.compile(
        run.optimizer(k.optimizers.Adam, 0.01), [k.metrics.SparseCategoricalAccuracy()], loss, k.losses.KLDivergence()
    )
    run.fit(model, x, y, epochs=3, batch_size=32)


@program()
def gradient_accumulation(run: Run) -> None:
    k = run.keras
    x = run.normal(2048, 5)
    y = (np.nan_to_num(x) @ np.arange(1, 6) + 0.1)[:, None]

    class Accumulating(k.Model):
        def __init__(self, inputs, outputs):
            super().__init__(inputs, outputs)
            self.every = 4
            self.count = tf.Variable(0, trainable=False, dtype=tf.int32)
            self.sums = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trainable_variables]

        def train_step(self, data):
            x, y = data
            self.count.assign_add(1)
            with tf.GradientTape() as tape:
                predicted = self(x, training=True)
                loss = (
                    self.compiled_loss(y, predicted) if run.version == 2 else self.compute_loss(y=y, y_pred=predicted)
                )
            for total, gradient in zip(self.sums, tape.gradient(loss, self.trainable_variables), strict=True):
                total.assign_add(gradient / self.every)
            tf.cond(self.count % self.every == 0, self.apply_sums, lambda: None)
            return {"loss": loss}

        def apply_sums(self):
            self.optimizer.apply_gradients(
                zip([s.read_value() for s in self.sums], self.trainable_variables, strict=True)
            )
            for total in self.sums:
                total.assign(tf.zeros_like(total))

    inputs = k.Input((5,))
    model = Accumulating(inputs, k.layers.Dense(1)(k.layers.Dense(8, activation="relu")(inputs)))
    model.compile(run.optimizer(k.optimizers.Adam, 0.02), "mse")
    model.optimizer.build(model.trainable_variables)
    run.fit(model, x, y, epochs=4, batch_size=32)
