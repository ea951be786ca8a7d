"""The number of bundles, the limits of saving, and complete bundles after a kill."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from steadyrank.pipeline.divergence import Bundle, Bundles, DivergenceMonitor
from tests.pipeline.divergence.bundles.bad_step import ROWS, STEPS, fit, fit_with_bad_step, make_data, make_model


def test_bundles_are_few_and_not_close_together(tmp_path):
    x, y = make_data()
    y[40 * ROWS :: ROWS] += 3000.0
    bundles = Bundles(tmp_path, max_bundles=2, min_steps_between=16)
    fit(make_model(), x, y, DivergenceMonitor(every=4, bundles=bundles))
    first, second = (int(path.name.removeprefix("step-")) for path in bundles.saved)
    assert first == 41
    assert second - first >= 16


def test_a_step_that_is_too_large_is_not_saved(tmp_path):
    bundles = Bundles(tmp_path / "bundles", max_bytes=1000)
    fit_with_bad_step(DivergenceMonitor(bundles=bundles))
    assert not bundles.saved
    assert bundles.problems[0].startswith("Step 50 was not saved: its size is ")
    assert "the limit is 1,000 bytes." in bundles.problems[0]


def test_a_folder_that_cannot_be_written_does_not_end_training(tmp_path):
    (tmp_path / "file").write_text("")
    bundles = Bundles(tmp_path / "file" / "bundles")
    assert len(fit_with_bad_step(DivergenceMonitor(bundles=bundles))) == STEPS
    assert "Step 50 was not saved: " in bundles.problems[0]


def test_two_replicas_save_nothing_and_say_why(two_replicas, tmp_path):
    bundles = Bundles(tmp_path)
    with two_replicas.scope():
        model = make_model()
    model.fit(*make_data(), batch_size=ROWS, verbose=0, callbacks=[DivergenceMonitor(bundles=bundles)])
    assert bundles.problems == ["Bad steps are not saved: this requires one replica, but the strategy has 2."]


def test_a_step_compiled_by_xla_saves_nothing_and_says_why(tmp_path):
    bundles = Bundles(tmp_path)
    model = make_model()
    model.compile(optimizer=model.optimizer, loss="mse", jit_compile=True)
    x, y = make_data()
    model.fit(
        {name: column[:ROWS] for name, column in x.items()},
        y[:ROWS],
        verbose=0,
        callbacks=[DivergenceMonitor(bundles=bundles)],
    )
    [problem] = bundles.problems
    assert problem.endswith("Compile the model with jit_compile=False.")


def test_files_are_copied_into_the_bundle(tmp_path):
    (tmp_path / "config.yaml").write_text("batch_size: 32")
    bundles = Bundles(tmp_path / "bundles", files=[tmp_path / "config.yaml", tmp_path / "missing.yaml"])
    bundles.save(7, {"alarms": []}, {"weights/0": np.zeros(2)})
    [path] = bundles.saved
    assert sorted(file.name for file in path.iterdir()) == ["arrays.npz", "bundle.json", "config.yaml"]


def test_a_kill_at_any_moment_leaves_complete_bundles_only(tmp_path):
    program = f"""
import numpy as np
from steadyrank.pipeline.divergence.bundles import Bundles
bundles = Bundles({str(tmp_path)!r}, max_bundles=10**6, min_steps_between=1)
arrays = {{"weights/0": np.arange(1 << 19), "batch/0": np.ones(8), "optimizer_variables/0": np.zeros(8)}}
metadata = {{"alarms": ["loss"], "signals": {{"loss": 1.0}}, "batch": "batch/0", "weights": 1, "optimizer_variables": 1}}
first = len(bundles.saved) + 1
print("ready", flush=True)
for step in range(first, 10**6):
    bundles.save(step, metadata, arrays)
"""
    rng = np.random.default_rng(0)
    interrupted = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.05, 0.3))
        process.kill()
        process.communicate()
        for path in Bundles(tmp_path).saved:
            assert Bundle.read(path).weights[0].size == 1 << 19
        leftovers = list(tmp_path.glob(".step-*"))
        # Each process removes the leftovers of earlier ones.
        assert len(leftovers) <= 1
        interrupted += len(leftovers)
    assert Bundles(tmp_path).saved
    assert interrupted, "no kill came in the middle of a bundle, so this test has shown nothing"
