"""Whole configurations by name.

Each says its command and what it is. A run writes its resolved configuration as ``config.yaml``; that file repeats the
run, and is the place to start a configuration of one's own.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from . import yaml_files
from .errors import ConfigError
from .settings import Config, Data, Model, Movielens, Optimizer, Simulated, Training

# The simulated log at the size of the paper's three models: 30 days of 256 steps.
_PAPER_DATA = Data(
    batch_size=1024,
    simulated=Simulated(days=30, rows_per_day=262_144, users=100_000, videos=50_000),
)
# Wide layers add up many small steps: they want a smaller rate and a longer way up to it than the demo's.
_PAPER_OPTIMIZER = Optimizer(learning_rate=0.1, warmup_steps=500)

PRESETS: dict[str, Config] = {
    # python -m steadyrank.pipeline.train --config=demo --model_dir=DIR
    #
    # Every part of a run once, on a laptop: fifteen days of the simulated log, 128 steps each, a shared bottom of 256x2.
    # Two minutes on two cores; click comes to an AUC of 0.763, 89 % of the way from chance to the best possible.
    "demo": Config(),
    # python -m steadyrank.pipeline.train --config=movielens --model_dir=DIR
    #
    # MovieLens 100K, its ratings in the order of time and cut into 20 periods, the last 4 held out. With
    # --config.data.movielens.name=1m-ratings the same on the larger set. Ratings that are not in data.movielens.data_dir
    # are downloaded.
    "movielens": Config(
        data=Data(source="movielens", batch_size=256, holdout_days=4, passes=2, movielens=Movielens(periods=20)),
        # The rate, its fall and l2 were chosen on periods 14 and 15, after training on those before. The rate falls, since
        # the last period's few users would otherwise have the last word.
        model=Model(shared_units=(128, 64), l2=1e-3),
        optimizer=Optimizer(learning_rate=0.1, final_learning_rate_factor=0.0),
        # A period is some 20 steps long: executions of 16 would leave most of it to a remainder.
        training=Training(steps_per_execution=8),
    ),
    # python -m steadyrank.pipeline.train --config=small --model_dir=DIR
    #
    # The paper's Small (its Table 1): a shared bottom of 512x2.
    "small": Config(data=_PAPER_DATA, optimizer=_PAPER_OPTIMIZER, model=Model(shared_units=(512, 512))),
    # python -m steadyrank.pipeline.train --config=large --model_dir=DIR
    #
    # The paper's Large: a shared bottom of 4096x4. For an accelerator.
    "large": Config(data=_PAPER_DATA, optimizer=_PAPER_OPTIMIZER, model=Model(shared_units=(4096,) * 4)),
    # python -m steadyrank.pipeline.train --config=large_dcn --model_dir=DIR
    #
    # The paper's Large+DCN, the model that diverges most readily: two layers of DCN-v2 behind a layer normalisation, then
    # 4096x4. For an accelerator.
    "large_dcn": Config(
        data=_PAPER_DATA,
        optimizer=_PAPER_OPTIMIZER,
        model=Model(shared_units=(4096,) * 4, cross_layers=2, cross_layer_norm=True),
    ),
}


def load(name_or_path: str) -> Config:
    """A configuration by its preset's name, or from a file that ends in ``.yaml`` or ``.yml``.

    Raises:
      ConfigError: There is no such preset or file, or the file does not hold a configuration.
    """
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        return yaml_files.read(Config, name_or_path)
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    near = difflib.get_close_matches(name_or_path, PRESETS, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(
        f"unknown preset {name_or_path!r}; {meant}expected one of {', '.join(PRESETS)}, or a file that ends in .yaml"
    )
