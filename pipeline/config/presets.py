"""The presets: complete configurations by name.

The comment above each preset gives its command and its purpose. A run writes its resolved configuration to
``config.yaml``. You can repeat the run with that file, or edit it to make your own configuration.
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
# In wide layers, many small steps add up. They need a smaller learning rate and a longer warm-up than the demo.
_PAPER_OPTIMIZER = Optimizer(learning_rate=0.1, warmup_steps=500)

PRESETS: dict[str, Config] = {
    # python -m steadyrank.pipeline.train --config=demo --model_dir=DIR
    #
    # Shows every part of a run on a laptop: 15 days of the simulated log with 128 steps each, and a shared bottom of
    # 256x2. Takes two minutes on two cores. The AUC of click reaches 0.763, which is 89% of the way from chance to the
    # best possible.
    "demo": Config(),
    # python -m steadyrank.pipeline.train --config=movielens --model_dir=DIR
    #
    # MovieLens 100K, ordered by time and cut into 20 periods, of which the last 4 are held out.
    # --config.data.movielens.name=1m-ratings selects the larger set. A set that is not in data.movielens.data_dir is
    # downloaded.
    "movielens": Config(
        data=Data(source="movielens", batch_size=256, holdout_days=4, passes=2, movielens=Movielens(periods=20)),
        # The learning rate, its decay and l2 were tuned on periods 14 and 15, after training on the periods before
        # them. The rate decays, because the few users of the last period would otherwise dominate the final weights.
        model=Model(shared_units=(128, 64), l2=1e-3),
        optimizer=Optimizer(learning_rate=0.1, final_learning_rate_factor=0.0),
        # A period has about 20 steps. Executions of 16 steps would leave a large remainder.
        training=Training(steps_per_execution=8),
    ),
    # python -m steadyrank.pipeline.train --config=small --model_dir=DIR
    #
    # The paper's Small model (Table 1): a shared bottom of 512x2.
    "small": Config(data=_PAPER_DATA, optimizer=_PAPER_OPTIMIZER, model=Model(shared_units=(512, 512))),
    # python -m steadyrank.pipeline.train --config=large --model_dir=DIR
    #
    # The paper's Large model: a shared bottom of 4096x4. Needs an accelerator.
    "large": Config(data=_PAPER_DATA, optimizer=_PAPER_OPTIMIZER, model=Model(shared_units=(4096,) * 4)),
    # python -m steadyrank.pipeline.train --config=large_dcn --model_dir=DIR
    #
    # The paper's Large+DCN, the model that diverges most easily: layer normalization, two layers of DCN-v2, then
    # 4096x4. Needs an accelerator.
    "large_dcn": Config(
        data=_PAPER_DATA,
        optimizer=_PAPER_OPTIMIZER,
        model=Model(shared_units=(4096,) * 4, cross_layers=2, cross_layer_norm=True),
    ),
}


def load(name_or_path: str) -> Config:
    """Returns a preset by its name, or reads a file whose name ends in ``.yaml`` or ``.yml``.

    Raises:
      ConfigError: If the preset or file does not exist, or the file is not a valid configuration.

    Example:
    >>> load("small").model.shared_units
    (512, 512)
    """
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        return yaml_files.read(Config, name_or_path)
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    nearest = difflib.get_close_matches(name_or_path, PRESETS, n=1)
    suggestion = f"did you mean '{nearest[0]}'? " if nearest else ""
    raise ConfigError(
        f"unknown preset {name_or_path!r}; {suggestion}expected one of {', '.join(PRESETS)}, or a file whose name "
        "ends in .yaml"
    )
