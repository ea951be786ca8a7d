"""Keras 2 optimizers under strategies: two replicas, two workers and a parameter server cluster equal one process.

Workers, servers and the coordinator run in their own processes, see workers.py.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from steadyrank.optimizers import ClippyAdagrad
from tests.addresses import free_addresses
from tests.optimizers import workers
from tests.optimizers.workers import Training

SECONDS = 240
ONE = tf.distribute.get_strategy()


# Processes.


class Processes:
    """Processes that run workers.py; the end of the block kills them all."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._started: dict[Path, subprocess.Popen] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self._started.values():
            process.kill()
        for process in self._started.values():
            process.wait()
            process.stdin.close()

    def start(self, role: str, *arguments: str, **variables: str) -> Path:
        """Starts a process and returns the path of its results."""
        out = self._folder / f"{role}{len(self._started)}"
        with open(out.with_suffix(".log"), "wb") as log:
            self._started[out] = subprocess.Popen(
                [sys.executable, workers.__file__, role, *arguments, "--out", str(out)],
                env=os.environ | variables,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return out

    def results(self, outs: Sequence[Path]) -> list[dict[str, Any]]:
        """Waits for processes and returns their results."""
        deadline = time.monotonic() + SECONDS
        for out in outs:
            try:
                ended: Any = self._started[out].wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                ended = f"none within {SECONDS} s"
            if ended != 0:
                pytest.fail(f"exit code of {out.name}: {ended}\n{out.with_suffix('.log').read_text()[-4000:]}")
        return [pickle.loads(out.read_bytes()) for out in outs]


def task(cluster: dict[str, list[str]], kind: str, index: int) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


# Comparison.


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Weights, accumulators and explanations agree to rounding, in every replica's copy."""
    for name, [expected] in theirs["weights"].items():
        for copy in ours["weights"][name]:
            np.testing.assert_allclose(copy, expected, rtol=1e-5, atol=2e-6, err_msg=name)
    for name, copies, [expected] in zip(theirs["weights"], ours["accumulators"], theirs["accumulators"], strict=True):
        for copy in copies:
            np.testing.assert_allclose(copy, expected, rtol=1e-4, err_msg=f"accumulator of {name}")
    assert_same_explanations(ours["explanations"], theirs["explanations"])
    assert (ours["skipped"], ours["nonfinite"]) == (theirs["skipped"], theirs["nonfinite"])


def assert_same_explanations(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        found = ours[name]
        assert (found.rule, found.clipped_steps) == (expected.rule, expected.clipped_steps), name
        for number in ("factor", "smallest_factor", "gradient_norm", "update_norm", "parameter_norm"):
            assert getattr(found, number) == pytest.approx(getattr(expected, number), rel=1e-4), (name, number)
        assert (found.bound_by is None) == (expected.bound_by is None), name
        if expected.bound_by:
            where = (expected.bound_by.iteration, expected.bound_by.index)
            assert (found.bound_by.iteration, found.bound_by.index) == where, name
            for number in ("weight", "gradient", "accumulator", "step"):
                value = getattr(expected.bound_by, number)
                assert getattr(found.bound_by, number) == pytest.approx(value, rel=1e-4, abs=1e-6), (name, number)


def assert_clipped_now_and_then(report: dict[str, Any]) -> None:
    """The comparison only means something if the rule clipped."""
    assert min(explanation.smallest_factor for explanation in report["explanations"].values()) < 0.5


@pytest.fixture(scope="module", autouse=True)
def cluster_processes(request, tmp_path_factory) -> Iterator[tuple[Processes, Path] | None]:
    """The cluster of the last tests, started with the first test so that it runs in parallel."""
    if not any("cluster" in item.fixturenames for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("cluster")
    addresses = free_addresses(4)
    jobs = {"worker": addresses[:2], "ps": addresses[2:]}
    with Processes(folder) as processes:
        for kind in jobs:
            for index in range(2):
                processes.start("server", TF_CONFIG=task(jobs, kind, index))
        report = ("--cluster", json.dumps(jobs), "--folder", str(folder))
        yield processes, processes.start("coordinator", *report)


# Two replicas on one machine.


def fit(strategy: tf.distribute.Strategy, with_nan: bool = False, **arguments: Any) -> dict[str, Any]:
    with strategy.scope():
        model, optimizer = workers.ranker(), workers.OPTIMIZERS["clippy on all"]()
        model.compile(optimizer, "mse", **arguments)
    steps = workers.batches(8)
    if with_nan:
        steps[3] = workers.with_nan(steps[3], row=1)
    ids, numbers, labels = (np.concatenate(column) for column in zip(*steps, strict=True))
    data = tf.data.Dataset.from_tensor_slices(((ids, numbers), labels)).batch(workers.ROWS)
    model.fit(data, verbose=0)
    return workers.report_state(strategy, model, optimizer)


@pytest.fixture(scope="module")
def fit_on_one() -> dict[str, Any]:
    return fit(ONE)


class TestTwoReplicas:
    @pytest.mark.parametrize("name", workers.OPTIMIZERS)
    def test_two_replicas_with_half_the_batch_each_equal_one_replica(self, name, two_replicas):
        steps = workers.batches(4)
        one = Training(ONE, workers.OPTIMIZERS[name]).run(steps).report_state()
        two = Training(two_replicas, workers.OPTIMIZERS[name]).run(steps).report_state()
        assert all(len(copies) == 2 for copies in two["weights"].values())
        assert_same(two, one)
        assert_clipped_now_and_then(one)

    def test_fit_with_several_steps_per_execution_equals_fit_on_one_replica(self, two_replicas, fit_on_one):
        assert_same(fit(two_replicas, steps_per_execution=4), fit_on_one)


# A training step in one program.


class TestOneProgram:
    def test_a_compiled_fit_equals_an_uncompiled_one(self, fit_on_one):
        assert_same(fit(ONE, jit_compile=True), fit_on_one)
        assert_clipped_now_and_then(fit_on_one)

    def test_a_nan_skips_the_step_in_a_compiled_fit(self):
        report = fit(ONE, with_nan=True, jit_compile=True, steps_per_execution=4)
        assert report["skipped"] == 1
        assert all(np.isfinite(copy).all() for [copy] in report["weights"].values())

    def test_a_custom_step_may_be_compiled(self):
        w, table = tf.Variable(tf.ones([3])), tf.Variable(tf.ones([4, 2]))
        optimizer = ClippyAdagrad(1.0, export_clipping_factors=True, exclude_from_clipping=())
        optimizer.build([w, table])

        @tf.function(jit_compile=True)
        def step(x: tf.Tensor, ids: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(w * x) + tf.reduce_sum(tf.gather(table, ids))
            optimizer.minimize(loss, [w, table], tape=tape)

        step(tf.constant([100.0, 0.0, 0.0]), tf.constant([1, 1]))
        # Steps of 100 / sqrt(0.1 + 100^2) and, from the summed gradient, 2 / sqrt(0.1 + 2^2); 0.51 is allowed.
        np.testing.assert_allclose(w, [0.49, 1.0, 1.0], rtol=1e-6)
        np.testing.assert_allclose(table, [[1.0, 1.0], [0.49, 0.49], [1.0, 1.0], [1.0, 1.0]], rtol=1e-6)
        step(tf.constant([np.nan, 0.0, 0.0]), tf.constant([1, 1]))
        assert optimizer.skipped_steps == 1
        np.testing.assert_allclose(w, [0.49, 1.0, 1.0], rtol=1e-6)


def test_an_unclipped_step_in_a_graph_is_not_counted_as_clipped():
    # Enough variables for vector kernels, which compute the factors of all of them.
    variables = [tf.Variable([1.0], name=f"v{place}") for place in range(20)]
    optimizer = ClippyAdagrad(1e-3, export_clipping_factors=True)
    optimizer.build(variables)
    tf.function(lambda: optimizer.apply_gradients([(tf.constant([1.0]), variable) for variable in variables]))()
    assert {float(factor) for factor in optimizer.clipping_factors} == {1.0}
    assert [explanation.clipped_steps for explanation in optimizer.read_explanations().values()] == [0] * 20


# Two workers in step, each in a process of its own.


@pytest.fixture(scope="module")
def peers(tmp_path_factory) -> list[dict[str, Any]]:
    cluster = {"worker": free_addresses(2)}
    with Processes(tmp_path_factory.mktemp("peers")) as processes:
        return processes.results(
            [processes.start("peer", TF_CONFIG=task(cluster, "worker", index)) for index in range(2)]
        )


class TestTwoWorkers:
    def test_both_workers_end_with_equal_weights_and_explanations(self, peers):
        first, second = (peer["good"] for peer in peers)
        for name, [expected] in first["weights"].items():
            np.testing.assert_array_equal(second["weights"][name][0], expected, err_msg=name)
        assert second["explanations"] == first["explanations"]

    def test_two_workers_equal_one_process_with_the_whole_batch(self, peers):
        one = Training(ONE, workers.OPTIMIZERS["clippy on all"]).run(workers.batches(3)).report_state()
        for peer in peers:
            assert_same(peer["good"], one)
        assert_clipped_now_and_then(one)

    def test_a_nan_in_one_workers_data_skips_the_step_on_both(self, peers):
        good = Training(ONE, lambda: ClippyAdagrad(0.2)).run(workers.batches(2)).report_state()
        for peer in peers:
            assert peer["with_nan"]["skipped"] == 1
            assert peer["with_nan"]["nonfinite"]["lower/kernel:0"] == 1
            for name, [expected] in good["weights"].items():
                np.testing.assert_allclose(
                    peer["with_nan"]["weights"][name][0], expected, rtol=1e-5, atol=2e-6, err_msg=name
                )

    def test_both_workers_stop_after_too_many_skipped_steps_in_a_row(self, peers):
        for peer in peers:
            assert "the gradient of 'table/embeddings:0' was not finite" in peer["error"].replace("\\", "")


# Asynchronous workers, and servers that hold the variables in shards.


@pytest.fixture(scope="module")
def cluster(cluster_processes) -> dict[str, Any]:
    processes, coordinator = cluster_processes
    return processes.results([coordinator])[0]


def unsharded(rule: str, **arguments: Any) -> dict[str, Any]:
    return workers.take_steps(ONE, lambda function: function(), workers.SHARDED_RULES[rule], **arguments)


class TestShards:
    @pytest.mark.parametrize("rule", workers.SHARDED_RULES)
    def test_a_variable_in_shards_is_stepped_like_a_whole_one(self, rule, cluster):
        shards, whole = cluster[rule], unsharded(rule, steps=2)
        assert (shards["shards"], whole["shards"]) == ([2, 2], [1, 1])
        for name in ("kernel", "table"):
            np.testing.assert_allclose(shards[name], whole[name], rtol=1e-6, err_msg=name)
        for found, expected in zip(shards["accumulators"], whole["accumulators"], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_a_coordinate_that_binds_in_one_shard_shortens_the_step_of_the_other(self, cluster):
        report = cluster["clippy"]["explanations"]
        for name in ("kernel", "table"):
            first, second = (report[f"{name}/part_{place}:0"] for place in range(2))
            # The large gradient lies in the second shard.
            assert second.gradient_norm > 1000 * first.gradient_norm > 0
            assert first.factor == second.factor < 0.9

    def test_explanations_on_the_coordinator_name_the_coordinate_that_bound(self, cluster):
        report, whole = cluster["clippy"]["explanations"], unsharded("clippy", steps=2)["explanations"]
        # Row 4 of 6 is row 1 of the second half, row 9 of 10 is row 4.
        assert report["kernel/part_1:0"].bound_by.index == (1, 1)
        assert report["table/part_1:0"].bound_by.index == (4, 0)
        for name in ("kernel", "table"):
            ours, expected = report[f"{name}/part_1:0"], whole[f"{name}:0"]
            assert ours.smallest_factor == pytest.approx(expected.smallest_factor)
            assert ours.bound_by.gradient == expected.bound_by.gradient == 50.0

    def test_a_nan_in_one_shard_skips_the_step_in_all(self, cluster):
        with_nan, whole = cluster["with_nan"], unsharded("clippy", steps=3, spoil=1)
        assert with_nan["skipped"] == whole["skipped"] == 1
        assert with_nan["nonfinite"]["kernel/part_1:0"] == 1
        for name in ("kernel", "table"):
            np.testing.assert_allclose(with_nan[name], whole[name], rtol=1e-6, err_msg=name)

    def test_all_steps_that_workers_skip_at_the_same_time_are_counted(self, cluster):
        assert cluster["skipped side by side"] == {"steps": 100, "counted": 100}

    def test_fit_learns(self, cluster):
        losses = cluster["fit"]["losses"]
        # With asynchronous workers, the loss does not fall in every step.
        assert min(losses) < 0.3 * losses[0]
        assert cluster["fit"]["saved"]["iterations"] == 80

    def test_a_checkpoint_restores_the_whole_optimizer(self, cluster):
        saved, restored = cluster["fit"]["saved"], cluster["fit"]["restored"]
        assert restored["explanations"] == saved["explanations"]
        assert any(explanation.clipped_steps for explanation in saved["explanations"].values())
        assert restored["iterations"] == saved["iterations"]
        for what in ("weights", "accumulators"):
            for ours, expected in zip(restored[what], saved[what], strict=True):
                np.testing.assert_array_equal(ours, expected)
