from __future__ import annotations

import pytest

from steadyrank.pipeline.config.errors import ConfigError
from steadyrank.pipeline.config.presets import PRESETS, load
from steadyrank.pipeline.config.settings import Config


def test_a_preset_is_found_by_its_name():
    assert all(load(name) is config for name, config in PRESETS.items())


def test_the_papers_models_differ_only_in_the_model():
    small, large, dcn = (PRESETS[name] for name in ("small", "large", "large_dcn"))
    assert small.data == large.data == dcn.data
    assert small.optimizer == large.optimizer == dcn.optimizer
    assert small.training == large.training == dcn.training
    assert (small.model.shared_units, small.model.cross_layers) == ((512, 512), 0)
    assert (large.model.shared_units, large.model.cross_layers) == ((4096,) * 4, 0)
    assert (dcn.model.shared_units, dcn.model.cross_layers, dcn.model.cross_layer_norm) == ((4096,) * 4, 2, True)


@pytest.mark.parametrize("name", [name for name, config in PRESETS.items() if config.data.source == "simulated"])
def test_a_simulated_day_is_a_whole_number_of_executions(name):
    config = PRESETS[name]
    rows_per_execution = config.data.batch_size * config.training.steps_per_execution
    assert config.data.simulated.rows_per_day % rows_per_execution == 0


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_file_is_recognized_by_its_suffix(tmp_path, suffix):
    path = tmp_path / f"demo{suffix}"
    path.write_text("training: {seed: 3}\n")
    assert load(str(path)).training.seed == 3
    assert load(str(path)).model == Config().model


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("demoo", "unknown preset 'demoo'; did you mean 'demo'? expected one of demo, movielens, "),
        ("large-dcn", "unknown preset 'large-dcn'; did you mean 'large_dcn'? expected one of "),
        ("zzz", "unknown preset 'zzz'; expected one of demo, "),
        ("", "unknown preset ''; expected one of demo, "),
        ("runs/1/config.json", "unknown preset 'runs/1/config.json'; expected one of demo, "),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_and_all_names(name, message):
    with pytest.raises(ConfigError) as caught:
        load(name)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(", or a file whose name ends in .yaml")
    assert all(preset in str(caught.value) for preset in PRESETS)
