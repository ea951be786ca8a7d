from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyrank.pipeline.config.errors import ConfigError
from steadyrank.pipeline.config.text import from_text, is_boolean, to_text
from steadyrank.pipeline.config.tree import build


@dataclasses.dataclass(frozen=True)
class Part:
    x: int = 0


@dataclasses.dataclass(frozen=True)
class Settings:
    integer: int = 0
    number: float = 0.0
    flag: bool = False
    text: str = ""
    integers: tuple[int, ...] = ()
    flags: tuple[bool, ...] = ()
    texts: tuple[str, ...] = ()
    maybe: int | None = None
    options: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)


_TYPES = {
    "integer": int,
    "number": float,
    "flag": bool,
    "text": str,
    "integers": tuple[int, ...],
    "flags": tuple[bool, ...],
    "texts": tuple[str, ...],
    "maybe": int | None,
    "options": Mapping[str, float | int | str],
}
_INTEGERS = st.integers(-(2**63), 2**63 - 1)


def _read(name, text):
    return getattr(build(Settings, {name: from_text(_TYPES[name], text, name)}), name)


@settings(deadline=None)
@given(
    st.builds(
        Settings,
        integer=_INTEGERS,
        number=st.floats(allow_nan=False),
        flag=st.booleans(),
        text=st.text(),
        integers=st.lists(_INTEGERS).map(tuple),
        flags=st.lists(st.booleans()).map(tuple),
        texts=st.lists(st.text() | st.sampled_from(["", " ", "a,b", "[a]", "null", "1", "\x85", "\u2028"])).map(tuple),
        maybe=st.none() | _INTEGERS,
    )
)
def test_every_value_survives_a_round_trip_through_text(instance):
    for name in _TYPES:
        value = getattr(instance, name)
        assert _read(name, to_text(value)) == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("text", "1", "1"),
        ("text", "true", "true"),
        ("text", "null", "null"),
        ("text", "", ""),
        ("number", "1e-2", 0.01),
        ("integer", "1e5", 100_000),
        ("flag", "False", False),
        ("flag", "on", True),
        ("integers", "512,512", (512, 512)),
        ("integers", "512", (512,)),
        ("integers", " 512 , 256 ", (512, 256)),
        ("integers", "[512, 256]", (512, 256)),
        ("integers", "", ()),
        ("integers", "[]", ()),
        ("texts", "shift@5,viral@7*2", ("shift@5", "viral@7*2")),
        ("texts", "1,true,null", ("1", "true", "null")),
        ("texts", "[1, true, null]", ("1", "true", "null")),
        ("texts", "['a{1,2}', b]", ("a{1,2}", "b")),
        ("maybe", "null", None),
        ("maybe", "3", 3),
        ("options", "relative=0.5,granularity=row", {"relative": "0.5", "granularity": "row"}),
        ("options", " relative = 0.5 ", {"relative": "0.5"}),
        ("options", "", {}),
    ],
)
def test_the_field_type_determines_the_meaning_of_text(name, text, expected):
    value = _read(name, text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("flag", "maybe", "flag must be true or false, got 'maybe'"),
        ("flags", "true,2", "flags[1] must be true or false, got '2'"),
        ("integers", "512,,256", "integers must be values separated by commas, got '512,,256'"),
        ("integers", "512,", "integers must be values separated by commas, got '512,'"),
        ("integers", "512,x", "integers[1] must be an integer, got 'x'"),
        ("integers", "[512", "integers must be a YAML list such as"),
        ("integers", "[[1], 2]", "integers must be a YAML list such as"),
        ("texts", "[a-z]+", "texts must be a YAML list such as"),
        ("texts", "[a: 1]", "texts must be a YAML list such as"),
        ("maybe", "x", "maybe must be an integer, got 'x'"),
        ("options", "relative", "options must be written name=value,name=value, got 'relative'"),
        ("options", "relative=", "options must be written name=value,name=value, got 'relative='"),
        ("options", "a=1,", "options must be written name=value,name=value, got 'a=1,'"),
        ("options", "a=1,a=2", "options sets 'a' twice, got 'a=1,a=2'"),
    ],
)
def test_text_of_the_wrong_form_is_refused(name, text, message):
    with pytest.raises(ConfigError) as caught:
        _read(name, text)
    assert str(caught.value).startswith(message)


def test_a_list_of_sections_is_refused_on_the_command_line():
    with pytest.raises(ConfigError, match=r"^parts is a list of sections; set it in a YAML file"):
        from_text(tuple[Part, ...], "1", "parts")


def test_booleans_can_be_written_without_a_value():
    assert is_boolean(bool)
    assert is_boolean(bool | None)
    assert not any(is_boolean(other) for other in (str, int, tuple[bool, ...], int | None))
