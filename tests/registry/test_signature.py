"""A constructor's signature as the schema of its node."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

import pytest
from annotated_types import Ge, Gt, Le, Predicate

from dettoolkit.errors import ConfigError
from dettoolkit.registry.signature import coerce, describe_type, documentation, parameters, place

if TYPE_CHECKING:
    from nowhere import Known


class Colour(enum.Enum):
    RED = "red"


class Box:
    """A box.

    Args:
        width: how wide it is,
            in pixels.
        height: how high.
    """

    def __init__(self, width: int, height: float = 2.0, *rest: Any, unknown: Known | None = None, **more: Any) -> None:
        pass


def test_parameters_are_upper_case_keys_without_self_and_stars():
    assert list(parameters(Box)) == ["WIDTH", "HEIGHT", "UNKNOWN"]


def test_parameters_know_type_and_default():
    width, height = parameters(Box)["WIDTH"], parameters(Box)["HEIGHT"]
    assert (width.name, width.annotation, width.required) == ("width", int, True)
    assert (height.annotation, height.default, height.required) == (float, 2.0, False)


def test_one_type_that_only_a_checker_knows_leaves_the_others_checked():
    assert parameters(Box)["UNKNOWN"].annotation is Any
    assert parameters(Box)["WIDTH"].annotation is int


def test_a_class_without_constructor_has_no_parameters():
    class Empty:
        pass

    assert parameters(Empty) == {}


def test_a_function_has_parameters_too():
    def area(width: int, height: int = 1) -> int:
        return width * height

    assert list(parameters(area)) == ["WIDTH", "HEIGHT"]


ACCEPTED = [
    (3, int, 3),
    (3, float, 3.0),
    (1e-4, float, 1e-4),
    (float("inf"), float, float("inf")),
    (True, bool, True),
    ("off", str, "off"),
    (None, Optional[int], None),  # noqa: UP045 (as torchvision writes it)
    ([1, 2], tuple[int, int], (1, 2)),
    ([1, 2], list[float], [1.0, 2.0]),
    ([1, 2], Sequence[int], [1, 2]),
    ({"a": 1}, dict[str, int], {"a": 1}),
    ("drop", Literal["error", "drop"], "drop"),
    ("red", Colour, Colour.RED),
    ("a/b", Path, Path("a/b")),
    (Path("a/b"), str, "a/b"),
    (3, Annotated[int, Ge(3)], 3),
    ("anything", Any, "anything"),
]


@pytest.mark.parametrize(("value", "annotation", "expected"), ACCEPTED)
def test_values_of_the_annotated_type_are_taken(value, annotation, expected):
    found = coerce(value, annotation)
    assert found == expected
    assert type(found) is type(expected)


REFUSED = [
    ("3", int, "expected int, got '3' (a string)."),
    (3.0, int, "expected int, got 3.0 (float)."),
    (True, int, "expected int, got true."),
    (1, bool, "expected true or false, got 1 (int)."),
    (True, float, "expected float, got true."),
    ("1e-4", float, "expected float, got '1e-4' (a string)."),
    (None, int, "expected int, got null."),
    (5, str, "expected a string, got 5 (int)."),
    ("abc", list[str], "expected list of strings, got 'abc' (a string)."),
    ([1, 2, 3], tuple[int, int], "expected a list of 2: int, int, got [1, 2, 3] (a list)."),
    ([1, "a"], list[int], "expected list of int, got [1, 'a'] (a list)."),
    ("stop", Literal["error", "drop"], "expected 'error' or 'drop', got 'stop' (a string)."),
    (0, Annotated[int, Ge(1)], "expected int >= 1, got 0 (int)."),
    (float("nan"), Annotated[float, Ge(0)], "expected float >= 0, got nan (float)."),
    ({"A": 1}, Union[int, None], "expected int or null, got {'A': 1} (a mapping)."),  # noqa: UP007
]


@pytest.mark.parametrize(("value", "annotation", "message"), REFUSED)
def test_values_of_another_type_are_refused_with_what_is_accepted(value, annotation, message):
    with pytest.raises(ConfigError) as caught:
        coerce(value, annotation)
    assert str(caught.value) == message


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(ConfigError) as caught:
        coerce("x" * 10_000, int)
    assert len(str(caught.value)) < 200


def test_a_type_that_no_yaml_value_can_have_is_not_checked():
    class Wired:
        pass

    assert coerce("anything", Wired) == "anything"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (str | None, "a string or null"),
        (bool, "true or false"),
        (list[str], "list of strings"),
        (tuple[float, ...], "list of float"),
        (tuple[int, float], "a list of 2: int, float"),
        (dict[str, int], "a mapping"),
        (Literal["a", 1], "'a' or 1"),
        (Annotated[float, Gt(0), Le(1)], "float > 0 and <= 1"),
        (Annotated[str, Predicate(str.isupper), "a word in capitals"], "a word in capitals"),
        (Annotated[int, Ge(1)] | None, "int >= 1 or null"),
        (Any, "Any"),
    ],
)
def test_types_are_described_in_the_words_of_a_config(annotation, words):
    assert describe_type(annotation) == words


def test_documentation_is_the_docstrings_sentence_on_one_line():
    assert documentation(Box, "width") == "how wide it is, in pixels."
    assert documentation(Box, "unknown") == ""


def test_documentation_may_stand_at_the_constructor():
    class Late:
        def __init__(self, size: int) -> None:
            """Make one.

            Args:
                size: how large.
            """

    assert documentation(Late, "size") == "how large."


def test_a_place_is_module_qualname_file_and_line():
    line = Path(__file__).read_text(encoding="utf-8").splitlines().index("class Box:") + 1
    assert place(Box) == f"{Box.__module__}.Box ({__file__}:{line})"


def test_a_class_defined_at_a_prompt_has_a_place_without_a_file():
    names: dict[str, Any] = {"__name__": "prompt"}
    exec("class Typed:\n    pass", names)
    assert place(names["Typed"]) == "prompt.Typed"
