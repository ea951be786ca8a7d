from __future__ import annotations

import dataclasses

import pytest
from absl import flags

from steadyrank.optimizers.rules import RULES
from steadyrank.pipeline.config import settings
from steadyrank.pipeline.config.help import attribute_docs, help_text
from steadyrank.pipeline.config.presets import PRESETS
from steadyrank.pipeline.config.text import to_text
from steadyrank.pipeline.config.tree import leaves

_SECTIONS = (
    settings.Data,
    settings.Simulated,
    settings.Movielens,
    settings.Files,
    settings.Group,
    settings.Config,
    settings.Model,
    settings.Optimizer,
    settings.Training,
)


class Documented:
    """An example.

    Attributes:
      first: A description
        on two lines: with a colon.
      second: Short.

    Raises:
      ValueError: Not an attribute.
    """


class Undocumented:
    pass


def test_an_attribute_is_read_with_its_continuation_lines():
    assert attribute_docs(Documented) == {"first": "A description on two lines: with a colon.", "second": "Short."}
    assert attribute_docs(Undocumented) == {}


@pytest.mark.parametrize("section", _SECTIONS)
def test_every_setting_is_documented_and_nothing_else(section):
    assert list(attribute_docs(section)) == [field.name for field in dataclasses.fields(section)]


def _flag_values():
    values = flags.FlagValues()
    flags.DEFINE_string("model_dir", None, "Folder\n  of the run.", flag_values=values)
    flags.DEFINE_integer("rows", 5, "Rows.", flag_values=values)
    flags.DEFINE_bool("resume", False, "Continue the run.", flag_values=values)
    return values


def test_the_text_contains_the_flags_and_every_setting_with_its_value():
    values, config = _flag_values(), PRESETS["large_dcn"]
    lines = help_text("Trains a ranker.\n", [values[name] for name in values], config).splitlines()
    assert lines[0] == "Trains a ranker."
    assert lines[lines.index("  --model_dir") + 1] == "      Folder of the run."
    assert "  --rows (default: 5)" in lines
    assert "  --[no]resume (default: false)" in lines
    for path in leaves(settings.Config):
        value = config
        for name in path.split("."):
            value = getattr(value, name)
        shown = lines.index(f"  --config.{path}={to_text(value)}")
        assert lines[shown + 1].startswith("      ")
    assert lines[lines.index("  --config.data.batch_size=1024") + 1] == (
        "      Rows per training step, over all replicas. Allowed: 1 or more."
    )
    assert all(len(line) <= 100 for line in lines)


def test_the_text_lists_the_allowed_values_and_the_options_of_the_rules():
    text = " ".join(help_text("Trains.", [], settings.Config()).split())
    assert "One of: simulated, movielens, files." in text
    assert f"One of: {', '.join(RULES)}." in text
    assert "clippy: relative=0.5, absolute=0.01, accumulator_relative=0.0, granularity=variable" in text
    assert ":mod:" not in text


def test_a_command_without_a_configuration_shows_no_settings():
    assert "config." not in help_text("Describes.", [])
