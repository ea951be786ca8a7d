from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, Optional

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.models.schema import Feature, Schema, Task
from steadyrank.pipeline.config.errors import ConfigError, UserError
from steadyrank.pipeline.config.settings import Config, Data, Model, Optimizer, Simulated, Training
from steadyrank.pipeline.config.tree import Replacement, build, leaves, merge, to_plain


@dataclasses.dataclass(frozen=True)
class Leaf:
    count: int = 0
    share: float = 0.0


@dataclasses.dataclass(frozen=True)
class Everything:
    """One field of every type that a setting may have."""

    integer: int = 0
    number: float = 0.0
    flag: bool = False
    text: str = ""
    integers: tuple[int, ...] = ()
    mixed: tuple[str | int, ...] = ()
    nested: Leaf = Leaf()
    many: tuple[Leaf, ...] = ()
    maybe_number: float | None = None
    choice: Literal["a", "b"] = "a"
    options: Mapping[str, float | int | bool | str] = dataclasses.field(default_factory=dict)
    maybe_leaf: Optional[Leaf] = None  # noqa: UP045 (the older spelling must work as well)


@dataclasses.dataclass(frozen=True)
class Unsupported:
    anything: set[int] = dataclasses.field(default_factory=set)


_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.floats(allow_nan=False)
_LEAVES = st.builds(Leaf, count=_INTEGERS, share=_FLOATS)
_EVERYTHING = st.builds(
    Everything,
    integer=_INTEGERS,
    number=_FLOATS,
    flag=st.booleans(),
    text=st.text(),
    integers=st.lists(_INTEGERS).map(tuple),
    # Includes strings that YAML would read as other types.
    mixed=st.lists(st.text() | _INTEGERS | st.sampled_from(["1", "1e5", "null", "true", "", "2024-01-01"])).map(tuple),
    nested=_LEAVES,
    many=st.lists(_LEAVES, max_size=3).map(tuple),
    maybe_number=st.none() | _FLOATS,
    choice=st.sampled_from(["a", "b"]),
    options=st.dictionaries(st.text(), _FLOATS | _INTEGERS | st.booleans() | st.text()),
    maybe_leaf=st.none() | _LEAVES,
)


@st.composite
def _configs(draw):
    execution = draw(st.integers(1, 64))
    return Config(
        data=Data(
            batch_size=draw(st.integers(1, 4096)),
            shuffle=draw(st.booleans()),
            simulated=Simulated(days=draw(st.integers(2, 99)), hazards=tuple(draw(st.lists(st.text(), max_size=3)))),
        ),
        model=Model(shared_units=tuple(draw(st.lists(st.integers(1, 4096), max_size=4)))),
        optimizer=Optimizer(learning_rate=draw(st.floats(0, 1e300)), rule=draw(st.sampled_from(["clippy", "none"]))),
        training=Training(
            seed=draw(st.integers(0, 2**63 - 1)),
            steps_per_execution=execution,
            publish_every_steps=execution * draw(st.integers(1, 9)),
            checkpoint_every_steps=execution * draw(st.integers(1, 9)),
        ),
    )


def _through_yaml(value):
    return yaml.safe_load(yaml.safe_dump(to_plain(value)))


@settings(deadline=None)
@given(_EVERYTHING)
def test_every_type_survives_a_round_trip_through_yaml(value):
    assert build(Everything, _through_yaml(value)) == value


@settings(deadline=None)
@given(_configs())
def test_every_configuration_survives_a_round_trip_through_yaml(config):
    assert build(Config, _through_yaml(config)) == config


def test_a_schema_is_built_from_its_own_plain_form():
    schema = Schema(
        features=(
            Feature("age", "numerical", normalization="log"),
            Feature("country", "categorical", dtype="string", vocabulary=("de", "fr")),
            Feature("last_videos", "bag", num_ids=10, width=5),
        ),
        tasks=(Task("click", "binary"), Task("watch", "regression", weight=0.3)),
    )
    assert build(Schema, schema.to_dict()) == schema
    assert build(Schema, _through_yaml(schema)) == schema


def test_omitted_fields_take_their_defaults():
    assert build(Config, {}) == Config()
    assert build(Config, {"model": {}}) == Config()
    assert build(Config, {"model": {"cross_layers": 2}}) == Config(model=Model(cross_layers=2))


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("number", 3, 3.0),
        ("number", "1e-2", 0.01),
        ("number", "1e5", 100_000.0),
        ("number", "-inf", -math.inf),
        ("maybe_number", "1e5", 100_000.0),
        ("integer", 100_000.0, 100_000),
        ("integer", "1e5", 100_000),
        # More digits than a float can represent.
        ("integer", "9007199254740993", 9007199254740993),
        ("mixed", ["1", 1], ("1", 1)),
        ("maybe_leaf", {"count": 1}, Leaf(count=1)),
        ("maybe_leaf", None, None),
    ],
)
def test_a_value_is_converted_to_the_field_type_if_the_conversion_is_lossless(field, given, expected):
    value = getattr(build(Everything, {field: given}), field)
    assert value == expected
    assert type(value) is type(expected)


def test_the_elements_of_a_mixed_list_keep_their_types():
    assert [type(item) for item in build(Everything, {"mixed": ["1", 1, "x"]}).mixed] == [str, int, str]


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"number": "abc"}, "number must be a number, got 'abc'"),
        ({"number": True}, "number must be a number, got true"),
        ({"number": None}, "number must be a number, got null"),
        ({"number": 10**400}, "number must be a number, got "),
        ({"integer": True}, "integer must be an integer, got true"),
        ({"integer": 2.5}, "integer must be an integer, got 2.5"),
        ({"integer": "2.5"}, "integer must be an integer, got '2.5'"),
        ({"integer": math.nan}, "integer must be an integer, got nan"),
        ({"integer": math.inf}, "integer must be an integer, got inf"),
        ({"integer": 2**63}, f"integer must be an integer, got {2**63}; it must fit in 64 bits"),
        ({"flag": 1}, "flag must be true or false, got 1"),
        ({"flag": "true"}, "flag must be true or false, got 'true'"),
        ({"text": 1}, "text must be text, got 1; in YAML, put quotes around it"),
        ({"text": None}, "text must be text, got null"),
        ({"text": {"a": 1}}, "text must be text, got a section"),
        ({"integers": "1,2"}, "integers must be a list such as [a, b], got '1,2'"),
        ({"integers": [1, "x"]}, "integers[1] must be an integer, got 'x'"),
        ({"mixed": [1, True]}, "mixed[1] must be text or an integer, got true"),
        ({"mixed": [None]}, "mixed[0] must be text or an integer, got null"),
        ({"nested": 1}, "nested is a section of settings (count, share), got 1; set one of these"),
        ({"nested": None}, "nested is a section of settings (count, share), got null; set one of these"),
        ({"nested": {"share": "x"}}, "nested.share must be a number, got 'x'"),
        ({"many": [{}, {"count": "x"}]}, "many[1].count must be an integer, got 'x'"),
        ({"maybe_number": "x"}, "maybe_number must be a number, got 'x'"),
        ({"maybe_leaf": {"count": "x"}}, "maybe_leaf.count must be an integer, got 'x'"),
        ({"texxt": "a"}, "texxt: unknown key; did you mean 'text'?"),
        ({"nested": {"counts": 1}}, "nested.counts: unknown key; did you mean 'count'?"),
        ({"nested": {"text": 1}}, "nested.text: unknown key; did you mean 'text'?"),
        ({"nested": {"zzz": 1}}, "nested.zzz: unknown key; expected one of count, share"),
        ({"nested": {True: 1}}, "nested.True: unknown key; expected one of count, share"),
        ({"nested": {"a\nb": 1}}, "nested.'a\\nb': unknown key; expected one of count, share"),
        ([], "expected a section of settings (integer, number, flag, …), got []; set one of these"),
    ],
)
def test_a_mistake_is_refused_in_one_line_with_its_path(plain, message):
    with pytest.raises(ConfigError) as caught:
        build(Everything, plain)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_key_of_another_section_is_suggested():
    with pytest.raises(ConfigError, match=r"^model\.batch_size: unknown key; did you mean 'data\.batch_size'\?$"):
        build(Config, {"model": {"batch_size": 64}})
    with pytest.raises(ConfigError, match=r"did you mean 'data\.simulated\.seed' or 'training\.seed'\?$"):
        build(Config, {"seed": 1})


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match=r"^features\[0\]\.kind is missing and has no default$"):
        build(Schema, {"features": [{"name": "age"}], "tasks": []})


def test_a_value_error_of_the_dataclass_keeps_its_message_after_the_path():
    with pytest.raises(ConfigError) as caught:
        build(Schema, {"features": [{"name": "age", "kind": "numerical", "width": 0}], "tasks": []})
    with pytest.raises(ValueError, match="width") as own:
        Feature("age", "numerical", width=0)
    assert str(caught.value) == f"features[0]: {own.value}"
    with pytest.raises(ConfigError, match=r"^optimizer\.learning_rate must be a finite number of 0 or more, got nan$"):
        build(Config, {"optimizer": {"learning_rate": "nan"}})


def test_all_problems_of_a_tree_are_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        build(Config, {"model": {"l2": "x", "precison": "float32"}, "data": {"batch_size": None}, "sed": 1})
    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        "sed:",
        "model.precison:",
        "model.l2",
        "data.batch_size",
    ]


def test_all_problems_of_a_nested_dataclass_keep_their_path():
    wrong = {"training": {"seed": -1}, "data": {"batch_size": 0}}
    with pytest.raises(ConfigError) as caught:
        build(Config, wrong, where="base")
    assert [problem.split(" ")[:2] for problem in caught.value.problems] == [
        ["base:", "data.batch_size"],
        ["base:", "training.seed"],
    ]


def test_a_mapping_is_read_item_by_item():
    assert build(Everything, {"options": {"a": 1, "b": "x"}}).options == {"a": 1, "b": "x"}
    with pytest.raises(
        ConfigError, match=r"^options\.a must be a number or an integer or true or false or text, got null$"
    ):
        build(Everything, {"options": {"a": None}})
    with pytest.raises(ConfigError, match=r"^options must be a mapping such as \{name: value\}, got 3$"):
        build(Everything, {"options": 3})


def test_every_path_starts_with_where():
    with pytest.raises(ConfigError, match=r"^study\.base\.nested\.share must be a number"):
        build(Everything, {"nested": {"share": "x"}}, where="study.base")
    with pytest.raises(ConfigError, match=r"^study: a schema needs at least one feature"):
        build(Schema, {"features": [], "tasks": []}, where="study")


def test_a_config_error_is_a_user_error_and_a_value_error():
    assert issubclass(ConfigError, UserError)
    assert issubclass(ConfigError, ValueError)


def test_an_unsupported_type_is_a_type_error():
    with pytest.raises(TypeError, match="anything"):
        build(Unsupported, {"anything": {}})


_TREES = st.recursive(
    st.integers() | st.lists(st.integers()), lambda below: st.dictionaries(st.sampled_from("abc"), below), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@settings(deadline=None)
@given(_TREES, _TREES)
def test_merging_replaces_values_of_the_first_tree_with_those_of_the_second(base, override):
    before = repr(base), repr(override)
    merged = merge(base, override)
    assert (repr(base), repr(override)) == before
    assert merge(merged, override) == merged
    assert merge(base, {}) == base
    assert merge({}, override) == override
    assert set(merged) == set(base) | set(override)


def test_merging_keeps_other_keys_and_replaces_lists_and_mappings_as_a_whole():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 3}
    assert merge(base, {"a": {"y": [9]}}) == {"a": {"x": 1, "y": [9]}, "b": 3}
    assert merge(base, {"a": Replacement(z=1)}) == {"a": {"z": 1}, "b": 3}


def test_leaves_are_the_settings_in_order():
    paths = leaves(Config)
    assert paths["model.shared_units"] == tuple[int, ...]
    assert next(iter(paths)) == "data.source"
    assert not {"data", "data.simulated"} & set(paths)

    plain = to_plain(Config())
    for path in paths:
        below = plain
        for name in path.split("."):
            below = below[name]
        # This setting is a mapping, not a section.
        assert path == "optimizer.rule_options" or not isinstance(below, dict)
