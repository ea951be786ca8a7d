from __future__ import annotations

import pytest

from steadyrank.pipeline.config import ConfigError, load, to_yaml
from steadyrank.pipeline.config.flags import resolve
from steadyrank.pipeline.config.settings import Config
from steadyrank.pipeline.config.tree import build, merge


def nest(path: str, value: object) -> dict:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize(
    ("path", "value", "source", "message"),
    [
        (
            "data.files.path",
            "log",
            "simulated",
            "data.files.path has no effect with data.source = simulated; set data.source=files",
        ),
        ("data.files.on_invalid", "fail", "simulated", "data.files.on_invalid has no effect"),
        ("data.files.schema", "s.yaml", "movielens", "data.files.schema has no effect with data.source = movielens"),
        ("data.simulated.days", 15, "files", "data.simulated.days has no effect with data.source = files"),
        ("data.movielens.name", "1m-ratings", "files", "set data.source=movielens, or omit it"),
    ],
)
def test_settings_of_another_source_are_refused(path, value, source, message):
    given = nest(path, value)
    given["data"]["source"] = source
    with pytest.raises(ConfigError, match=message):
        resolve("demo", given)
    if source == "simulated":
        del given["data"]["source"]
        with pytest.raises(ConfigError, match=message):
            resolve("demo", given)


@pytest.mark.parametrize("preset", ["small", "movielens", "demo"])
def test_a_preset_may_hold_settings_of_another_source(preset):
    config = resolve(preset, {"data": {"source": "files", "files": {"path": "log"}}})
    assert (config.data.source, config.data.files.path) == ("files", "log")


@pytest.mark.parametrize(
    ("path", "value", "remedy"),
    [
        ("data.shuffle_rows", 100, {"data": {"shuffle": True}}),
        ("data.files.max_invalid_share", 0.5, {"data": {"files": {"on_invalid": "clamp"}}}),
        ("data.files.max_anomalous_share", 0.5, {"data": {"files": {"on_anomalous_day": "skip"}}}),
        ("model.cross_projection", 8, {"model": {"cross_layers": 1}}),
        ("model.cross_layer_norm", False, {"model": {"cross_layers": 1}}),
        ("optimizer.exclude_from_clipping", ["x"], {"optimizer": {"groups": [{"pattern": "tower"}]}}),
        ("training.sharpness_rows", 8, {"training": {"sharpness_every_steps": 64}}),
        ("training.max_rollbacks", 1, {"training": {"on_divergence": "rollback"}}),
        ("training.rollback_warmup_steps", 1, {"training": {"on_divergence": "rollback"}}),
    ],
)
def test_a_setting_needs_the_one_that_makes_it_useful(path, value, remedy):
    base = {"data": {"source": "files", "shuffle": False}, "optimizer": {"rule": "none"}}
    with pytest.raises(ConfigError, match=f"{path} has no effect without "):
        resolve("demo", merge(base, nest(path, value)))
    config = resolve("demo", merge(merge(base, remedy), nest(path, value)))
    assert config == build(Config, merge(merge(base, remedy), nest(path, value)))


def test_a_default_value_is_no_contradiction():
    resolve("demo", {"data": {"shuffle": False, "shuffle_rows": 0}, "training": {"max_rollbacks": 3}})


class TestFiles:
    def test_a_file_without_a_source_is_refused_unless_the_command_line_chooses_it(self, tmp_path):
        (tmp_path / "mine.yaml").write_text("data: {files: {path: log}}\n")
        with pytest.raises(ConfigError, match=r"data.files.path has no effect with data.source = simulated"):
            resolve(str(tmp_path / "mine.yaml"), {})
        assert resolve(str(tmp_path / "mine.yaml"), {"data": {"source": "files"}}).data.files.path == "log"

    def test_the_configuration_of_a_run_is_accepted(self, tmp_path):
        config = resolve("small", {"data": {"source": "files", "files": {"path": "log"}}})
        (tmp_path / "config.yaml").write_text(to_yaml(config))
        assert resolve(str(tmp_path / "config.yaml"), {}) == config == load(str(tmp_path / "config.yaml"))
