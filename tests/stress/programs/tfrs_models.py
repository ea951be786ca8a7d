"""Programs in the manner of TensorFlow Recommenders' tutorials and examples, for Keras 2."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from ..kit import Run, program

USERS, MOVIES, ROWS = 40, 60, 1024


def make_ratings(run: Run) -> dict[str, np.ndarray]:
    """Users, movies and ratings, with two kinds of taste."""
    users, movies = run.random.integers(0, USERS, ROWS), run.random.integers(0, MOVIES, ROWS)
    ratings = 3.0 + 1.5 * np.where(users % 2 == movies % 2, 1, -1) + run.random.normal(size=ROWS) * 0.3
    return {
        "user_id": users.astype(str),
        "movie_title": np.char.add("movie ", movies.astype(str)),
        "user_rating": run.data(ratings),
        "timestamp": (8.8e8 + run.random.integers(0, 1e7, ROWS)).astype("int64"),
    }


def liked(ratings: dict[str, np.ndarray]) -> tf.data.Dataset:
    """Only what was liked, without the rating."""
    keep = ratings["user_rating"] > 3.5
    rows = {name: values[keep] for name, values in ratings.items() if name != "user_rating"}
    return tf.data.Dataset.from_tensor_slices(rows)


def titles() -> np.ndarray:
    return np.char.add("movie ", np.arange(MOVIES).astype(str))


def lookup(run: Run, vocabulary: Any, width: int = 8) -> Any:
    k = run.keras
    layers = [
        k.layers.StringLookup(vocabulary=vocabulary, mask_token=None),
        k.layers.Embedding(len(vocabulary) + 1, width),
    ]
    return k.Sequential(layers)


@program(2)
def tfrs_retrieval(run: Run) -> None:
    ratings = liked(make_ratings(run))
    movies = tf.data.Dataset.from_tensor_slices(titles())

    class Model(tfrs.Model):
        def __init__(self):
            super().__init__()
            self.user_model = lookup(run, np.arange(USERS).astype(str))
            self.movie_model = lookup(run, titles())
            self.task = tfrs.tasks.Retrieval(
                metrics=tfrs.metrics.FactorizedTopK(candidates=movies.batch(16).map(self.movie_model), ks=(1, 5, 10))
            )

        def compute_loss(self, features, training=False):
            return self.task(self.user_model(features["user_id"]), self.movie_model(features["movie_title"]))

    model = Model()
    model.compile(optimizer=run.optimizer(run.keras.optimizers.Adagrad, 0.5))
    train = ratings.shuffle(1000, seed=42, reshuffle_each_iteration=False).batch(64).cache()
    run.fit(model, train, epochs=3)
    run.record(model, model.evaluate(train.take(4), return_dict=True, verbose=0))
    index = tfrs.layers.factorized_top_k.BruteForce(model.user_model, k=3)
    index.index_from_dataset(tf.data.Dataset.zip((movies.batch(16), movies.batch(16).map(model.movie_model))))
    _, found = index(tf.constant(["3"]))
    run.record(model, {"found": [int(title.split()[1]) for title in found[0].numpy()]})


@program(2)
def tfrs_ranking(run: Run) -> None:
    k = run.keras
    ratings = make_ratings(run)
    ratings.pop("timestamp")

    class Ranking(k.Model):
        def __init__(self):
            super().__init__()
            self.users, self.movies = lookup(run, np.arange(USERS).astype(str)), lookup(run, titles())
            self.ratings = k.Sequential(
                [k.layers.Dense(32, activation="relu"), k.layers.Dense(8, activation="relu"), k.layers.Dense(1)]
            )

        def call(self, inputs):
            user, movie = inputs
            return self.ratings(tf.concat([self.users(user), self.movies(movie)], axis=1))

    class Model(tfrs.models.Model):
        def __init__(self):
            super().__init__()
            self.ranking_model = Ranking()
            self.task = tfrs.tasks.Ranking(loss=k.losses.MeanSquaredError(), metrics=[k.metrics.RootMeanSquaredError()])

        def call(self, features):
            return self.ranking_model((features["user_id"], features["movie_title"]))

        def compute_loss(self, features, training=False):
            labels = features.pop("user_rating")
            return self.task(labels=labels, predictions=self(features))

    model = Model()
    model.compile(optimizer=run.optimizer(k.optimizers.Adagrad, 0.1))
    train = tf.data.Dataset.from_tensor_slices(ratings).batch(64).cache()
    run.fit(model, train, epochs=4)
    run.record(model, model.evaluate(train, return_dict=True, verbose=0))


@program(2)
def tfrs_multitask(run: Run) -> None:
    k = run.keras
    ratings = make_ratings(run)
    movies = tf.data.Dataset.from_tensor_slices(titles())

    class Model(tfrs.models.Model):
        def __init__(self, rating_weight, retrieval_weight):
            super().__init__()
            self.movie_model, self.user_model = lookup(run, titles()), lookup(run, np.arange(USERS).astype(str))
            self.rating_model = k.Sequential([k.layers.Dense(16, activation="relu"), k.layers.Dense(1)])
            self.rating_task = tfrs.tasks.Ranking(
                loss=k.losses.MeanSquaredError(), metrics=[k.metrics.RootMeanSquaredError()]
            )
            self.retrieval_task = tfrs.tasks.Retrieval(
                metrics=tfrs.metrics.FactorizedTopK(candidates=movies.batch(16).map(self.movie_model), ks=(1, 10))
            )
            self.rating_weight, self.retrieval_weight = rating_weight, retrieval_weight

        def call(self, features):
            user, movie = self.user_model(features["user_id"]), self.movie_model(features["movie_title"])
            return user, movie, self.rating_model(tf.concat([user, movie], axis=1))

        def compute_loss(self, features, training=False):
            labels = features.pop("user_rating")
            user, movie, rating = self(features)
            rating_loss = self.rating_task(labels=labels, predictions=rating)
            return self.rating_weight * rating_loss + self.retrieval_weight * self.retrieval_task(user, movie)

    train = tf.data.Dataset.from_tensor_slices(ratings).batch(128).cache()
    for weights in ((1.0, 1.0),):
        model = Model(*weights)
        model.compile(optimizer=run.optimizer(k.optimizers.Adagrad, 0.1))
        run.fit(model, train, epochs=3)
        run.record(model, model.evaluate(train, return_dict=True, verbose=0))


@program(2)
def tfrs_context_features(run: Run) -> None:
    k = run.keras
    ratings = make_ratings(run)
    movies = tf.data.Dataset.from_tensor_slices(titles())
    edges = np.linspace(8.8e8, 8.9e8, num=10)

    class Users(k.Model):
        def __init__(self):
            super().__init__()
            self.users = lookup(run, np.arange(USERS).astype(str))
            self.times = k.Sequential([k.layers.Discretization(edges.tolist()), k.layers.Embedding(len(edges) + 1, 8)])
            self.normalized = k.layers.Normalization(axis=None)
            self.normalized.adapt(ratings["timestamp"].astype("float32"))

        def call(self, inputs):
            time = inputs["timestamp"]
            return tf.concat(
                [self.users(inputs["user_id"]), self.times(time), tf.reshape(self.normalized(time), (-1, 1))], axis=1
            )

    class Movies(k.Model):
        def __init__(self):
            super().__init__()
            self.whole = lookup(run, titles())
            self.vectorizer = k.layers.TextVectorization(max_tokens=100)
            self.words = k.Sequential(
                [self.vectorizer, k.layers.Embedding(100, 8, mask_zero=True), k.layers.GlobalAveragePooling1D()]
            )
            self.vectorizer.adapt(movies)

        def call(self, names):
            return tf.concat([self.whole(names), self.words(names)], axis=1)

    class Model(tfrs.models.Model):
        def __init__(self):
            super().__init__()
            self.query_model = k.Sequential([Users(), k.layers.Dense(8)])
            self.candidate_model = k.Sequential([Movies(), k.layers.Dense(8)])
            self.task = tfrs.tasks.Retrieval(
                metrics=tfrs.metrics.FactorizedTopK(candidates=movies.batch(16).map(self.candidate_model), ks=(1, 10))
            )

        def compute_loss(self, features, training=False):
            query = self.query_model({"user_id": features["user_id"], "timestamp": features["timestamp"]})
            return self.task(query, self.candidate_model(features["movie_title"]), compute_metrics=not training)

    model = Model()
    model.compile(optimizer=run.optimizer(k.optimizers.Adagrad, 0.1))
    dataset = liked(ratings).batch(64)
    run.fit(model, dataset, epochs=3, validation_data=dataset.take(2), validation_freq=2)


@program(2)
def tfrs_listwise(run: Run) -> None:
    k = run.keras
    ratings = make_ratings(run)
    lists = ROWS // 4
    columns = {
        "user_id": ratings["user_id"][:lists],
        "movie_title": ratings["movie_title"].reshape(lists, 4),
        "user_rating": ratings["user_rating"].reshape(lists, 4),
    }

    def list_mle(labels, scores):
        order = tf.argsort(labels, axis=1, direction="DESCENDING")
        ordered = tf.gather(scores, order, axis=1, batch_dims=1)
        sums = tf.cumsum(tf.exp(ordered - tf.reduce_max(ordered, axis=1, keepdims=True)), axis=1, reverse=True)
        return tf.reduce_mean(tf.math.log(sums) - ordered + tf.reduce_max(ordered, axis=1, keepdims=True), axis=1)

    class Model(tfrs.Model):
        def __init__(self, loss):
            super().__init__()
            self.users, self.movies = lookup(run, np.arange(USERS).astype(str)), lookup(run, titles())
            self.score = k.Sequential([k.layers.Dense(16, activation="relu"), k.layers.Dense(1)])
            self.task = tfrs.tasks.Ranking(loss=loss, metrics=[k.metrics.RootMeanSquaredError()])

        def call(self, features):
            movies = self.movies(features["movie_title"])
            users = tf.repeat(tf.expand_dims(self.users(features["user_id"]), 1), [movies.shape[1]], axis=1)
            return self.score(tf.concat([users, movies], 2))

        def compute_loss(self, features, training=False):
            labels = features.pop("user_rating")
            return self.task(labels=labels, predictions=tf.squeeze(self(features), axis=-1))

    dataset = tf.data.Dataset.from_tensor_slices(columns).batch(32).cache()
    for loss in (k.losses.MeanSquaredError(), list_mle):
        model = Model(loss)
        model.compile(optimizer=run.optimizer(k.optimizers.Adagrad, 0.1))
        run.fit(model, dataset, epochs=4)


@program(2)
def tfrs_sequential_retrieval(run: Run) -> None:
    k = run.keras
    names = np.arange(MOVIES).astype(str)
    first = run.random.integers(0, MOVIES, size=(768, 1))
    chain = (first + np.arange(7)) % MOVIES
    movies = tf.data.Dataset.from_tensor_slices(names)

    class Model(tfrs.Model):
        def __init__(self, query_model, candidate_model, task):
            super().__init__()
            self._query_model, self._candidate_model, self._task = query_model, candidate_model, task

        def compute_loss(self, features, training=False):
            query = self._query_model(features["context_movie_id"])
            return self._task(query, self._candidate_model(features["label_movie_id"]), compute_metrics=not training)

    query_model = k.Sequential([*lookup(run, names).layers, k.layers.GRU(8)])
    candidate_model = lookup(run, names)
    task = tfrs.tasks.Retrieval(
        metrics=tfrs.metrics.FactorizedTopK(candidates=movies.batch(16).map(candidate_model), ks=(1, 10))
    )
    model = Model(query_model, candidate_model, task)
    model.compile(optimizer=run.optimizer(k.optimizers.Adagrad, 0.3))
    columns = {"context_movie_id": chain[:, :6].astype(str), "label_movie_id": chain[:, 6].astype(str)}
    dataset = tf.data.Dataset.from_tensor_slices(columns).batch(64).cache()
    run.fit(model, dataset, epochs=4)
    run.record(model, model.evaluate(dataset, return_dict=True, verbose=0))


@program(2)
def tfrs_cross_network(run: Run) -> None:
    k = run.keras
    ratings = make_ratings(run)
    ratings.pop("timestamp")
    vocabularies = {"user_id": np.arange(USERS).astype(str), "movie_title": titles()}

    class Dcn(tfrs.Model):
        def __init__(self, use_cross, sizes, projection=None):
            super().__init__()
            self._embeddings = {name: lookup(run, words) for name, words in vocabularies.items()}
            self._cross = (
                tfrs.layers.dcn.Cross(projection_dim=projection, kernel_initializer="glorot_uniform")
                if use_cross
                else None
            )
            self._deep = [k.layers.Dense(size, activation="relu") for size in sizes]
            self._logit = k.layers.Dense(1)
            self.task = tfrs.tasks.Ranking(
                loss=k.losses.MeanSquaredError(), metrics=[k.metrics.RootMeanSquaredError("RMSE")]
            )

        def call(self, features):
            x = tf.concat([embedding(features[name]) for name, embedding in self._embeddings.items()], axis=1)
            x = self._cross(x) if self._cross is not None else x
            for layer in self._deep:
                x = layer(x)
            return self._logit(x)

        def compute_loss(self, features, training=False):
            labels = features.pop("user_rating")
            return self.task(labels=labels, predictions=self(features))

    dataset = tf.data.Dataset.from_tensor_slices(ratings).batch(64)
    for arguments in ((True, [16], None), (True, [16], 4)):
        model = Dcn(*arguments)
        model.compile(optimizer=run.optimizer(k.optimizers.Adam, 0.01))
        run.fit(model, dataset, epochs=3)


@program(2, has_own_optimizer=True)
def tfrs_dlrm_with_composite_optimizer(run: Run) -> None:
    k = run.keras
    dense, ids = run.normal(1024, 4), run.random.integers(0, 50, size=(1024, 2))
    labels = ((np.nan_to_num(dense).sum(axis=1) + (ids[:, 0] % 3 - 1)) > 0).astype("float32")

    class Embeddings(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.tables = [k.layers.Embedding(50, 8) for _ in range(2)]

        def call(self, inputs):
            return [table(inputs[str(i)]) for i, table in enumerate(self.tables)]

    table = Embeddings()
    model = tfrs.experimental.models.Ranking(
        embedding_layer=table,
        bottom_stack=tfrs.layers.blocks.MLP(units=[16, 8], final_activation="relu"),
        feature_interaction=tfrs.layers.feature_interaction.DotInteraction(),
        top_stack=tfrs.layers.blocks.MLP(units=[16, 1], final_activation="sigmoid"),
    )
    features = {"dense_features": dense, "sparse_features": {"0": ids[:, 0], "1": ids[:, 1]}}
    dataset = tf.data.Dataset.from_tensor_slices((features, labels)).batch(64)
    model.compile(
        optimizer=tfrs.experimental.optimizers.CompositeOptimizer(
            [
                (k.optimizers.Adam(learning_rate=0.01), lambda: model.embedding_trainable_variables),
                (k.optimizers.Adagrad(learning_rate=0.1), lambda: model.dense_trainable_variables),
            ]
        )
    )
    run.fit(model, dataset, epochs=3)
