"""The command line: parsing, mistakes, and whole commands as processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from absl import flags

from steadyrank.pipeline.config.errors import ConfigError, UserError
from steadyrank.pipeline.config.flags import define_config, parse, resolve
from steadyrank.pipeline.config.presets import PRESETS
from steadyrank.pipeline.config.settings import Config
from steadyrank.pipeline.config.text import to_text
from steadyrank.pipeline.config.tree import build, leaves
from steadyrank.pipeline.config.yaml_files import to_yaml


def _parse(*arguments, required=False):
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_string("model_dir", None, "Folder.", flag_values=values, required=required)
    flags.DEFINE_bool("resume", False, "Continue the run.", flag_values=values)
    define_config(values, "demo")
    positional, overrides = parse(["program", *arguments], values)
    return values, positional, overrides


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        ([], {}),
        (["--config.optimizer.learning_rate=0.2"], {"optimizer": {"learning_rate": "0.2"}}),
        (["--config.optimizer.learning_rate", "0.2"], {"optimizer": {"learning_rate": "0.2"}}),
        (["-config.optimizer.learning_rate=0.2"], {"optimizer": {"learning_rate": "0.2"}}),
        (["--config.training.seed", "-1"], {"training": {"seed": "-1"}}),
        (["--config.data.shuffle"], {"data": {"shuffle": True}}),
        (["--config.data.shuffle=false"], {"data": {"shuffle": False}}),
        (["--noconfig.data.shuffle"], {"data": {"shuffle": False}}),
        (["--config.model.shared_units=8,4"], {"model": {"shared_units": ["8", "4"]}}),
        (["--config.model.shared_units=[8, 4]"], {"model": {"shared_units": ["8", "4"]}}),
        (["--config.data.simulated.hazards="], {"data": {"simulated": {"hazards": []}}}),
        (
            ["--config.optimizer.rule_options=relative=0.5,granularity=row"],
            {"optimizer": {"rule_options": {"relative": "0.5", "granularity": "row"}}},
        ),
        (["--config.data.movielens.name=1"], {"data": {"movielens": {"name": "1"}}}),
        (["--config.training.seed=1", "--config.training.seed=2"], {"training": {"seed": "2"}}),
        (
            ["--config.training.seed=1", "--config.training.replicas=2"],
            {"training": {"seed": "1", "replicas": "2"}},
        ),
    ],
)
def test_settings_become_a_tree(arguments, overrides):
    assert _parse(*arguments)[2] == overrides


def test_settings_can_be_mixed_with_other_flags_and_arguments():
    values, positional, overrides = _parse(
        "--model_dir", "x", "--config.data.shuffle", "extra", "--config=small", "--resume"
    )
    assert (values.model_dir, values.config, values.resume) == ("x", "small", True)
    assert positional == ["program", "extra"]
    assert overrides == {"data": {"shuffle": True}}


@pytest.mark.parametrize("name", PRESETS)
def test_any_configuration_can_be_given_on_the_command_line(name):
    texts = {}
    # Only a YAML file can express a list of sections.
    for path in leaves(Config).keys() - {"optimizer.groups"}:
        value = PRESETS[name]
        for part in path.split("."):
            value = getattr(value, part)
        texts[path] = to_text(value)
    assert build(Config, _parse(*[f"--config.{path}={text}" for path, text in texts.items()])[2]) == PRESETS[name]


def test_overrides_replace_settings_of_the_named_configuration():
    config = resolve("small", {"optimizer": {"learning_rate": "0.2"}})
    assert config.optimizer.learning_rate == 0.2
    assert config.model == PRESETS["small"].model
    assert resolve("small", {}) == PRESETS["small"]


def test_rule_options_on_the_command_line_replace_all_options_of_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("optimizer: {rule_options: {relative: 0.1, granularity: row}}\n")
    overrides = _parse("--config.optimizer.rule_options=absolute=0.5")[2]
    assert resolve(str(file), overrides).optimizer.rule_options == {"absolute": 0.5}
    assert resolve(str(file), {}).optimizer.rule_options == {"relative": 0.1, "granularity": "row"}


def test_all_values_of_the_wrong_form_are_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        _parse("--config.data.shuffle=maybe", "--config.model.shared_units=8,,4")
    assert [problem.split(" ")[0] for problem in caught.value.problems] == ["data.shuffle", "model.shared_units"]


def test_settings_that_depend_on_each_other_can_be_set_together():
    overrides = _parse("--config.training.steps_per_execution=10", "--config.training.publish_every_steps=20")[2]
    with pytest.raises(ConfigError, match=r"^training\.checkpoint_every_steps must be a multiple"):
        resolve("demo", overrides)
    overrides["training"]["checkpoint_every_steps"] = "50"
    assert resolve("demo", overrides).training.publish_every_steps == 20


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--modeldir=x", "unknown flag --modeldir; did you mean --model_dir?"),
        ("--learning_rate=1", "unknown flag --learning_rate; did you mean --config.optimizer.learning_rate?"),
        ("--optimizer.rule=none", "unknown flag --optimizer.rule; did you mean --config.optimizer.rule?"),
        ("--seed=1", "unknown flag --seed; did you mean --config.data.simulated.seed or --config.training.seed?"),
        ("--zzz", "unknown flag --zzz; --help lists the flags"),
        ("--model_dir", "--model_dir has no value; write --model_dir=VALUE"),
        ("--resume=9", "--resume must be true or false, got '9'"),
        ("--config.optimizer.learning_rate", "--config.optimizer.learning_rate has no value; write "),
        (
            "--config.optimizer=0.1",
            "--config.optimizer is a section of settings (rule, rule_options, learning_rate, …)",
        ),
        ("--config.optimzer.learning_rate=1", "--config.optimzer: unknown key; did you mean 'optimizer'?"),
        ("--config.optimizer.learning_ratee=1", "--config.optimizer.learning_ratee: unknown key; did you mean 'learn"),
        ("--config.data.batch_size.x=1", "--config.data.batch_size must be an integer, got a section"),
        ("--config.batch_size=1", "--config.batch_size: unknown key; did you mean 'data.batch_size'?"),
        ("--config.=1", "--config.: unknown key; expected one of data, model, optimizer, training"),
        ("--config.data.shuffle=maybe", "data.shuffle must be true or false, got 'maybe'"),
    ],
)
def test_a_mistake_is_refused_in_one_line(argument, message):
    with pytest.raises(UserError) as caught:
        _parse(argument)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_setting_without_a_value_does_not_consume_the_next_flag():
    with pytest.raises(UserError, match=r"^--config\.optimizer\.learning_rate has no value"):
        _parse("--config.optimizer.learning_rate", "--model_dir=x")


def test_a_missing_required_flag_is_named():
    with pytest.raises(UserError, match=r"^--model_dir is missing; write --model_dir=VALUE$"):
        _parse(required=True)


_COMMAND = '''
    """Does a thing with a ranker."""

    from absl import flags
    from steadyrank.pipeline.config import UserError
    from steadyrank.pipeline.config.flags import command
    from steadyrank.pipeline.config.yaml_files import to_yaml


    def define_flags():
        flags.DEFINE_string("model_dir", None, "Folder of the run.", short_name="m", required=True)


    def main(arguments, config):
        if arguments.model_dir == "user":
            raise UserError("model_dir is\\nnot empty")
        if arguments.model_dir == "bug":
            raise KeyError("bug")
        print(to_yaml(config), end="")
        return 3 if arguments.model_dir == "diverged" else 0


    if __name__ == "__main__":
        command(main, define_flags, default_config="demo")
'''

_BARE = '''
    """Lists things."""

    from steadyrank.pipeline.config.flags import command


    def main(arguments):
        print("listed", "config" in arguments)
        return 0


    if __name__ == "__main__":
        command(main)
'''


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """Runs a command in a separate process and folder."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "trainer.py").write_text(textwrap.dedent(_COMMAND).lstrip())
    (folder / "lister.py").write_text(textwrap.dedent(_BARE).lstrip())

    def run(module, *arguments):
        return subprocess.run(
            [sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8"
        )

    run.folder = folder
    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model_dir is missing"),
        (["--model_dir=x", "foo"], "unexpected argument 'foo'; flags start with --"),
        (["foo", "--model_dir=x"], "unexpected argument 'foo'; flags start with --"),
        (["--modeldir=x"], "unknown flag --modeldir; did you mean --model_dir?"),
        (["--model_dir=x", "--config=demoo"], "unknown preset 'demoo'; did you mean 'demo'?"),
        (["--model_dir=x", "--config=missing.yaml"], "missing.yaml: there is no such file"),
        (["--model_dir=x", "--config.optimizer.learning_rate=nan"], "optimizer.learning_rate must be a finite number"),
        (["--model_dir=x", "--config.training.seed=-1"], "training.seed must be an integer of 0 or more, got -1"),
        (["--model_dir=x", "--config.optimizer=0.1"], "--config.optimizer is a section"),
        (["--model_dir=user"], "model_dir is not empty"),
    ],
)
def test_a_user_error_ends_the_process_with_one_line_and_code_2(process, arguments, message):
    ended = process("trainer", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {message}")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.endswith("\n")


def test_several_problems_end_the_process_with_one_line_each_and_code_2(process):
    ended = process("trainer", "--model_dir=x", "--config.training.seed=-1", "--config.data.batch_size=0")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "error: The configuration has 2 problems:",
        "  data.batch_size must be an integer of 1 or more, got 0",
        "  training.seed must be an integer of 0 or more, got -1",
    ]


def test_main_gets_the_resolved_configuration_and_returns_the_exit_code(process):
    (process.folder / "mine.yaml").write_text("model: {shared_units: [8]}\ntraining: {seed: 5}\n")
    ended = process("trainer", "-m", "diverged", "--config=mine.yaml", "--config.training.seed", "6")
    assert (ended.returncode, ended.stderr) == (3, "")
    assert ended.stdout == to_yaml(build(Config, {"model": {"shared_units": [8]}, "training": {"seed": 6}}))


def test_the_command_chooses_the_default_configuration(process):
    ended = process("trainer", "--model_dir=x")
    assert (ended.returncode, ended.stdout) == (0, to_yaml(PRESETS["demo"]))


def test_any_other_exception_keeps_its_traceback(process):
    ended = process("trainer", "--model_dir=bug")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.endswith("KeyError: 'bug'\n")


def test_help_needs_no_required_flag_and_exits_with_0(process):
    ended = process("trainer", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Does a thing with a ranker.\n\nFlags:\n  --config (default: demo)\n")
    assert ended.stdout.count("  --model_dir\n") == 1
    assert "  --config.model.shared_units=256,256\n      Widths of the layers of the shared bottom" in ended.stdout


def test_a_command_without_a_configuration_has_no_config_flag(process):
    assert process("lister").stdout == "listed False\n"
    ended = process("lister", "--config=demo")
    assert (ended.returncode, ended.stderr) == (2, "error: unknown flag --config; --help lists the flags\n")


def test_the_package_loads_neither_tensorflow_nor_numpy():
    heavy = "{'tensorflow', 'tf_keras', 'numpy', 'matplotlib'}"
    code = f"import sys, steadyrank.pipeline.config; print(sorted({heavy} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "[]\n")
