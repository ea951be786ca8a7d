"""Programs with text, sequences and recurrent layers, as in Keras's and TensorFlow's tutorials."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..kit import Run, program

_WORDS = np.array(
    ["good", "great", "fine", "bad", "poor", "awful", "film", "plot", "scene", "actor", "the", "a", "of", "it", "was"]
)


def _reviews(run: Run, rows: int = 640) -> tuple[np.ndarray, np.ndarray]:
    words = run.random.integers(0, len(_WORDS), size=(rows, 7))
    labels = ((words < 3).sum(axis=1) > ((words >= 3) & (words < 6)).sum(axis=1)).astype("float32")
    return np.array([" ".join(_WORDS[row]) for row in words]), labels[:, None]


@program()
def text_classification_end_to_end(run: Run) -> None:
    k, (texts, labels) = run.keras, _reviews(run)
    vectorizer = k.layers.TextVectorization(max_tokens=50, output_sequence_length=8)
    vectorizer.adapt(texts)
    x = (
        tf.data.Dataset.from_tensor_slices((texts[:, None], labels))
        .batch(32)
        .map(lambda text, label: (vectorizer(text), label))
    )
    inputs = k.Input((None,), dtype="int64")
    hidden = k.layers.Dropout(0.3, seed=1)(k.layers.Embedding(50, 8)(inputs))
    hidden = k.layers.Conv1D(8, 3, padding="valid", activation="relu", strides=1)(hidden)
    hidden = k.layers.GlobalMaxPooling1D()(hidden)
    model = k.Model(inputs, k.layers.Dense(1, activation="sigmoid", name="predictions")(hidden))
    model.compile(loss="binary_crossentropy", optimizer=run.optimizer(k.optimizers.Adam, 0.01), metrics=["accuracy"])
    run.fit(model, x, epochs=3, validation_data=x.take(3))
    if run.version == 2:
        whole = k.Sequential([k.Input((1,), dtype="string"), vectorizer, model])
        whole.compile(
            loss="binary_crossentropy", optimizer=run.optimizer(k.optimizers.Adam, 0.01), metrics=["accuracy"]
        )
        run.fit(whole, texts[:, None], labels, epochs=2)


@program(2)
def text_vectorization_inside(run: Run) -> None:
    k, (texts, labels) = run.keras, _reviews(run)
    encoder = k.layers.TextVectorization(max_tokens=50)
    dataset = tf.data.Dataset.from_tensor_slices((texts, labels)).batch(32)
    encoder.adapt(dataset.map(lambda text, label: text))
    model = k.Sequential(
        [
            encoder,
            k.layers.Embedding(len(encoder.get_vocabulary()), 8, mask_zero=True),
            k.layers.Bidirectional(k.layers.LSTM(8)),
            k.layers.Dense(8, activation="relu"),
            k.layers.Dense(1),
        ]
    )
    model.compile(
        loss=k.losses.BinaryCrossentropy(from_logits=True),
        optimizer=run.optimizer(k.optimizers.Adam, 0.01),
        metrics=["accuracy"],
    )
    run.fit(model, dataset, epochs=3, validation_data=dataset.take(2), validation_steps=2)


@program(2)
def ragged_text(run: Run) -> None:
    k = run.keras
    lengths = run.random.integers(1, 6, 512)
    ids = tf.RaggedTensor.from_row_lengths(run.random.integers(1, 20, lengths.sum()), lengths)
    labels = (lengths > 3).astype("float32")
    model = k.Sequential(
        [
            k.Input((None,), dtype="int64", ragged=True),
            k.layers.Embedding(20, 8),
            k.layers.LSTM(8),
            k.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(run.optimizer(k.optimizers.Adam, 0.01), "binary_crossentropy", metrics=["accuracy"])
    run.fit(model, tf.data.Dataset.from_tensor_slices((ids, labels)).batch(32), epochs=3)


@program()
def sequence_to_sequence_with_teacher(run: Run) -> None:
    k = run.keras
    source = run.random.integers(0, 8, size=(384, 5))
    encoder_x, decoder_x = (
        np.eye(9, dtype="float32")[source],
        np.eye(9, dtype="float32")[np.c_[np.full(384, 8), source[:, ::-1][:, :-1]]],
    )
    decoder_y = run.data(np.eye(9)[source[:, ::-1]])
    encoder_inputs = k.Input((None, 9))
    _, state_h, state_c = k.layers.LSTM(16, return_state=True)(encoder_inputs)
    decoder_inputs = k.Input((None, 9))
    hidden, _, _ = k.layers.LSTM(16, return_sequences=True, return_state=True)(
        decoder_inputs, initial_state=[state_h, state_c]
    )
    model = k.Model([encoder_inputs, decoder_inputs], k.layers.Dense(9, activation="softmax")(hidden))
    model.compile(
        optimizer=run.optimizer(k.optimizers.RMSprop, 0.01), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    run.fit(model, [encoder_x, decoder_x], decoder_y, batch_size=32, epochs=4, validation_split=0.2)


@program()
def masked_translation_with_attention(run: Run) -> None:
    k = run.keras
    source = run.random.integers(1, 12, size=(384, 6))
    source[np.arange(6) >= run.random.integers(2, 7, size=(384, 1))] = 0
    target = np.where(source > 0, 12 - source, 0)
    shifted = np.c_[np.full(384, 12), target[:, :-1]]

    def masked_loss(y_true, y_pred):
        loss = k.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none" if run.version == 2 else None)(
            y_true, y_pred
        )
        mask = tf.cast(y_true != 0, loss.dtype)
        return tf.reduce_sum(loss * mask) / tf.reduce_sum(mask)

    def masked_accuracy(y_true, y_pred):
        match = tf.cast(tf.cast(y_true, tf.int64) == tf.argmax(y_pred, axis=-1), tf.float32)
        mask = tf.cast(y_true != 0, tf.float32)
        return tf.reduce_sum(match * mask) / tf.reduce_sum(mask)

    class Translator(k.Model):
        def __init__(self):
            super().__init__()
            self.source = k.layers.Embedding(13, 16, mask_zero=True)
            self.target = k.layers.Embedding(13, 16, mask_zero=True)
            self.encoder = k.layers.Bidirectional(k.layers.GRU(16, return_sequences=True), merge_mode="sum")
            self.decoder = k.layers.GRU(16, return_sequences=True)
            self.attention = k.layers.MultiHeadAttention(num_heads=1, key_dim=16)
            self.norm, self.add, self.head = k.layers.LayerNormalization(), k.layers.Add(), k.layers.Dense(13)

        def call(self, inputs):
            context, x = inputs
            context = self.encoder(self.source(context))
            x = self.decoder(self.target(x))
            attended = self.attention(query=x, value=context)
            return self.head(self.norm(self.add([x, attended])))

    model = Translator()
    model.compile(
        optimizer=run.optimizer(k.optimizers.Adam, 0.01), loss=masked_loss, metrics=[masked_accuracy, masked_loss]
    )
    dataset = tf.data.Dataset.from_tensor_slices(((source, shifted), target)).batch(32)
    stop = k.callbacks.EarlyStopping(patience=3)
    run.fit(
        model,
        dataset.repeat(),
        epochs=4,
        steps_per_epoch=10,
        validation_data=dataset,
        validation_steps=2,
        callbacks=run.callbacks(stop),
    )


@program()
def masked_language_model(run: Run) -> None:
    k = run.keras
    texts = (run.random.integers(0, 10, size=(512, 1)) + np.arange(8)) % 10 + 1
    masked = run.random.random(texts.shape) < 0.25
    x, weight = np.where(masked, 11, texts), masked.astype("float32")
    loss_fn = k.losses.SparseCategoricalCrossentropy(reduction="none" if run.version == 2 else None)
    tracker = k.metrics.Mean(name="loss")

    class Masked(k.Model):
        def train_step(self, inputs):
            features, labels, sample_weight = inputs if len(inputs) == 3 else (*inputs, None)
            with tf.GradientTape() as tape:
                predictions = self(features, training=True)
                loss = loss_fn(labels, predictions, sample_weight=sample_weight)
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            tracker.update_state(loss, sample_weight=sample_weight)
            return {"loss": tracker.result()}

        @property
        def metrics(self):
            return [tracker]

    inputs = k.Input((8,), dtype="int64")
    hidden = k.layers.Embedding(12, 16)(inputs)
    attended = k.layers.MultiHeadAttention(2, 8)(hidden, hidden, hidden)
    hidden = k.layers.LayerNormalization(epsilon=1e-6)(k.layers.Add()([hidden, attended]))
    hidden = k.layers.Add()([hidden, k.layers.Dense(16)(k.layers.Dense(32, activation="relu")(hidden))])
    model = Masked(inputs, k.layers.Dense(12, activation="softmax")(hidden))
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01))

    class Generator(k.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.predict(x[:2], verbose=0)

    run.fit(
        model,
        tf.data.Dataset.from_tensor_slices((x, texts, weight)).shuffle(512, seed=2).batch(32),
        epochs=4,
        callbacks=run.callbacks(Generator()),
    )


@program()
def tokens_with_two_outputs_and_one_loss(run: Run) -> None:
    k = run.keras
    texts = (run.random.integers(0, 10, size=(512, 1)) + np.arange(9)) % 10

    class Block(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.attention = k.layers.MultiHeadAttention(2, 8)
            self.feed = k.Sequential([k.layers.Dense(16, activation="relu"), k.layers.Dense(16)])
            self.norms = k.layers.LayerNormalization(), k.layers.LayerNormalization()
            self.drops = k.layers.Dropout(0.1), k.layers.Dropout(0.1)

        def call(self, inputs):
            mask = tf.linalg.band_part(tf.ones((1, 8, 8), tf.bool), -1, 0)
            x = self.norms[0](inputs + self.drops[0](self.attention(inputs, inputs, attention_mask=mask)))
            return self.norms[1](x + self.drops[1](self.feed(x)))

    inputs = k.Input((8,), dtype="int32")
    hidden = Block()(k.layers.Embedding(10, 16)(inputs))
    model = k.Model(inputs, [k.layers.Dense(10)(hidden), hidden])
    # No loss for the second output.
    model.compile(
        run.optimizer(k.optimizers.Adam, 0.01), loss=[k.losses.SparseCategoricalCrossentropy(from_logits=True), None]
    )
    dataset = tf.data.Dataset.from_tensor_slices((texts[:, :-1], texts[:, 1:])).batch(32)
    run.fit(model, dataset if run.version == 2 else dataset.map(lambda x, y: (x, (y, y))), epochs=3)


@program()
def speech_with_alignment_loss(run: Run) -> None:
    k = run.keras
    labels = run.random.integers(0, 5, size=(256, 3))
    frames = run.data(np.repeat(np.eye(5)[labels], 4, axis=1) + run.random.normal(size=(256, 12, 5)) * 0.1)

    class AlignmentLayer(k.layers.Layer):
        def call(self, y_true, y_pred):
            rows = tf.cast(tf.shape(y_true)[0], tf.int32)
            loss = tf.nn.ctc_loss(
                tf.cast(y_true, tf.int32),
                tf.transpose(y_pred, [1, 0, 2]),
                tf.fill([rows], 3),
                tf.fill([rows], 12),
                blank_index=-1,
            )
            self.add_loss(tf.reduce_mean(loss))
            return y_pred

    images, truth = k.Input((12, 5), name="image"), k.Input((3,), name="label")
    hidden = k.layers.Bidirectional(k.layers.LSTM(8, return_sequences=True, dropout=0.1))(images)
    outputs = AlignmentLayer(name="ctc_loss")(truth, k.layers.Dense(6, name="dense2")(hidden))
    model = k.Model(inputs=[images, truth], outputs=outputs)
    model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01))
    dataset = tf.data.Dataset.from_tensor_slices({"image": frames, "label": labels.astype("float32")}).batch(32)
    stop = k.callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)
    run.fit(model, dataset, validation_data=dataset.take(2), epochs=4, callbacks=run.callbacks(stop))


@program()
def recurrent_cell_with_constants(run: Run) -> None:
    k = run.keras
    x, constant = run.normal(512, 5, 3), run.random.normal(size=(512, 2)).astype("float32")
    y = np.nan_to_num(x).sum(axis=(1, 2))[:, None] + constant[:, :1]

    class Cell(k.layers.Layer):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.units = self.state_size = self.output_size = units

        def build(self, shape):
            width = (
                shape[0][-1] if isinstance(shape, (list, tuple)) and isinstance(shape[0], (list, tuple)) else shape[-1]
            )
            self.kernel = self.add_weight(shape=(width, self.units), initializer="uniform", name="kernel")
            self.recurrent = self.add_weight(shape=(self.units, self.units), initializer="uniform", name="recurrent")
            self.constant_kernel = self.add_weight(shape=(2, self.units), initializer="uniform", name="constant")
            self.built = True

        def call(self, inputs, states, constants):
            state = states[0] if isinstance(states, (list, tuple)) else states
            [value] = constants
            output = tf.tanh(
                tf.matmul(inputs, self.kernel)
                + tf.matmul(state, self.recurrent)
                + tf.matmul(value, self.constant_kernel)
            )
            return output, [output]

    sequence, extra = k.Input((5, 3)), k.Input((2,))
    if run.version == 2:
        hidden = k.layers.RNN(Cell(8))(sequence, constants=extra)
    else:

        class Carried(k.layers.Layer):
            def __init__(self):
                super().__init__()
                self.cell = Cell(8)

            def build(self, shape):
                self.cell.build(shape[0])
                super().build(shape)

            def call(self, inputs):
                sequence, extra = inputs
                state = tf.zeros((tf.shape(extra)[0], 8))
                for i in range(5):
                    state, _ = self.cell(sequence[:, i], [state], constants=[extra])
                return state

            def compute_output_shape(self, shape):
                return (shape[0][0], 8)

        hidden = Carried()([sequence, extra])
    model = k.Model([sequence, extra], k.layers.Dense(1)(hidden))
    model.compile(run.optimizer(k.optimizers.Adam, 0.02), "mse")
    run.fit(model, [x, constant], y, epochs=4)


@program()
def stateful_recurrent(run: Run) -> None:
    k = run.keras
    x = run.normal(640, 3, 1)
    y = np.convolve(np.nan_to_num(x)[:, 0, 0], [0.5, 0.5])[:640, None]
    inputs: Any = k.Input(batch_shape=(32, 3, 1))
    model = k.Model(inputs, k.layers.Dense(1)(k.layers.LSTM(8, stateful=True)(inputs)))
    model.compile(loss="mse", optimizer=run.optimizer(k.optimizers.RMSprop, 0.01))
    for _ in range(3):
        run.fit(model, x, y, batch_size=32, epochs=1, shuffle=False)
        for layer in model.layers:
            if hasattr(layer, "reset_states" if run.version == 2 else "reset_state") and getattr(
                layer, "stateful", False
            ):
                layer.reset_states() if run.version == 2 else layer.reset_state()
