from __future__ import annotations

import pytest

from steadyrank.models.schema import Feature, Schema, Task
from steadyrank.pipeline.config.errors import ConfigError
from steadyrank.pipeline.config.presets import PRESETS
from steadyrank.pipeline.config.settings import Config
from steadyrank.pipeline.config.tree import build
from steadyrank.pipeline.config.yaml_files import read, to_yaml


def _file(tmp_path, text, name="run.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", PRESETS)
def test_a_written_configuration_can_be_read_back(tmp_path, name):
    assert read(Config, _file(tmp_path, to_yaml(PRESETS[name]))) == PRESETS[name]


@pytest.mark.parametrize(
    "text", ["", " a ", "1", "null", "é", "a: b # c", "a\nb", "a\r\nb", "\x85", "\u2028", "[a, b]"]
)
def test_any_text_can_be_read_back(tmp_path, text):
    config = build(Config, {"data": {"movielens": {"data_dir": text}, "simulated": {"hazards": [text, text]}}})
    assert read(Config, _file(tmp_path, to_yaml(config))) == config


def test_a_written_configuration_keeps_the_order_of_the_settings():
    lines = to_yaml(Config()).splitlines()
    assert [line for line in lines if not line.startswith((" ", "-"))] == ["data:", "model:", "optimizer:", "training:"]


def test_a_file_needs_only_the_settings_that_differ(tmp_path):
    config = read(Config, _file(tmp_path, "# mine\noptimizer:\n  learning_rate: 1e-2\nmodel: {shared_units: [8, 4]}\n"))
    assert config.optimizer.learning_rate == 0.01
    assert config.model.shared_units == (8, 4)
    assert config.data == Config().data


def test_another_dataclass_is_read_in_the_same_way(tmp_path):
    text = "features:\n- {name: age, kind: numerical}\ntasks:\n- {name: click, kind: binary}\n"
    schema = Schema(features=(Feature("age", "numerical"),), tasks=(Task("click", "binary"),))
    assert read(Schema, _file(tmp_path, text)) == schema


def test_anchors_and_merge_keys_work(tmp_path):
    text = "data:\n  simulated: &s {days: 9}\n  movielens: {periods: 30}\n"
    merged = text + "model: &m {cross_layers: 1, <<: {l2: 0.5}}\n"
    assert read(Config, _file(tmp_path, merged)).model.l2 == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": the file is empty"),
        ("# only a comment\n", ": the file is empty"),
        ("- a\n- b\n", ": expected settings as 'name: value' at the top of the file, got a list"),
        ("demo\n", ": expected settings as 'name: value' at the top of the file, got a single value"),
        ("model:\n  l2: 0.1\n bad: 1\n", ", line 3: malformed YAML: "),
        ("model: [1, 2\n", ", line 2: malformed YAML: "),
        ("model: {}\n---\nmodel: {}\n", ", line 2: malformed YAML: "),
        ("model:\n  l2: 0.1\nmodel:\n  l2: 0.2\n", ", line 3: malformed YAML: 'model' appears twice"),
        ("model:\n  l2: 0.1\n  l2: 0.2\n", ", line 3: malformed YAML: 'l2' appears twice"),
        ("model: !!python/object:os.system {}\n", ", line 1: malformed YAML: could not determine a constructor"),
        ("model: 2024-13-45\n", ": malformed YAML: month must be in 1..12"),
        ("model: \x07\n", ": malformed YAML: "),
        (b"model: \xff\n", ": the file is not UTF-8 text"),
        ("model:\n", ": model is a section of settings (shared_units, cross_layers, cross_projection, …), got null"),
        ("optimizer:\n  learning_rat: 1\n", ": optimizer.learning_rat: unknown key; did you mean 'learning_rate'?"),
        ("data:\n  movielens:\n    name: 1\n", ": data.movielens.name must be text, got 1; in YAML, put quotes"),
        ("training:\n  seed: -1\n", ": training.seed must be an integer of 0 or more, got -1"),
        ("model:\n  precision: off\n", ": model.precision must be text, got false; in YAML, put quotes"),
    ],
)
def test_an_invalid_file_is_refused_in_one_line(tmp_path, text, message):
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read(Config, path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_all_problems_of_a_file_are_listed_after_its_path(tmp_path):
    path = _file(tmp_path, "training: {seed: -1}\ndata: {batch_size: 0}\n")
    with pytest.raises(ConfigError) as caught:
        read(Config, path)
    assert str(caught.value).splitlines() == [
        f"{path} has 2 problems:",
        "  data.batch_size must be an integer of 1 or more, got 0",
        "  training.seed must be an integer of 0 or more, got -1",
    ]


def test_rule_options_are_read_from_a_mapping(tmp_path):
    text = "optimizer: {rule: clippy, rule_options: {relative: 1e-1, granularity: row}}\n"
    options = {"relative": 0.1, "granularity": "row"}
    assert read(Config, _file(tmp_path, text)).optimizer.rule_options == options


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.yaml: there is no such file$"):
        read(Config, tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match=r"the file cannot be read: Is a directory$"):
        read(Config, tmp_path)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _file(tmp_path, "training: {seed: 7}\n", "mine.yaml")
    assert read(Config, "~/mine.yaml").training.seed == 7


@pytest.mark.parametrize(
    ("text", "number"), [("010", 8), ("-017", -15), ("12:30:00", 45000), ("0_10", 8), ("1:30", 90)]
)
def test_an_integer_that_yaml_reads_as_another_number_is_refused(tmp_path, text, number):
    content = (
        f"features:\n- {{name: zip, kind: categorical, vocabulary: [{text}]}}\ntasks: [{{name: y, kind: binary}}]\n"
    )
    with pytest.raises(ConfigError) as raised:
        read(Schema, _file(tmp_path, content))
    assert f"line 2: malformed YAML: {text} would be the number {number}; put text in quotes: '{text}'" in str(
        raised.value
    )


@pytest.mark.parametrize("text", ["yes", "off", "2026-11-01", "1_000", "12:30:00.5", "1.5"])
def test_a_word_of_a_vocabulary_that_is_no_text_in_yaml_needs_quotes(tmp_path, text):
    content = (
        "features:\n- {name: z, kind: categorical, dtype: string, vocabulary: [%s]}\ntasks: [{name: y, kind: binary}]\n"
    )
    with pytest.raises(ConfigError, match="quotes"):
        read(Schema, _file(tmp_path, content % text))
    assert read(Schema, _file(tmp_path, content % f"'{text}'")).features[0].vocabulary == (text,)


def test_other_integers_are_read(tmp_path):
    content = (
        "features:\n- {name: z, kind: categorical, vocabulary: [0, -7, 10, 0x1F]}\ntasks: [{name: y, kind: binary}]\n"
    )
    assert read(Schema, _file(tmp_path, content)).features[0].vocabulary == (0, -7, 10, 31)
