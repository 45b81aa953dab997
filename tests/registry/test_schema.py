"""Checking the parameters of a component, and building it with its parts."""

from __future__ import annotations

from typing import Any

import pytest

from dettoolkit.errors import ConfigError
from dettoolkit.registry import Component, ListOf, Registry
from dettoolkit.registry.schema import Problems, build_node, check_parameters

SPRINGS = Registry("SPRINGS", package="json")  # any module that registers nothing


@SPRINGS.register()
class Coil:
    def __init__(self, turns: int = 5, load: float = 0.0) -> None:
        self.turns, self.load = turns, load


class Clock:
    """A clock.

    Args:
        load: wired.
        hands: how many.
        main: the part that drives it.
        spare: more of them.
    """

    PARTS = {"MAIN": Component(SPRINGS, {"NAME": "Coil"}), "SPARE": ListOf(Component(SPRINGS))}  # noqa: RUF012

    def __init__(self, load: float, main: Any, spare: Any, hands: int = 2) -> None:
        if hands > 3:
            raise ValueError(f"expected at most 3 hands, got {hands}")
        self.load, self.hands, self.main, self.spare = load, hands, main, spare


def rows(node: dict[str, Any], wired: tuple[str, ...] = ("load",), cls: type = Clock) -> list[tuple[str, str]]:
    problems = Problems()
    check_parameters(cls, node, "CLOCK", wired, problems)
    return problems.rows


def test_checked_parameters_are_complete_and_leave_out_wired_ones_and_parts():
    problems = Problems()
    assert check_parameters(Clock, {}, "CLOCK", ("load",), problems) == {"HANDS": 2}
    assert problems.rows == []


def test_an_unknown_parameter_is_named_with_the_nearest():
    expected = "Clock has no 'HAND'. Did you mean 'HANDS'? Accepted: MAIN, SPARE, HANDS."
    assert rows({"HAND": 3}) == [("CLOCK.HAND", expected)]


def test_lower_case_keys_are_unknown():
    assert rows({"hands": 3})[0][1].startswith("Clock has no 'hands'. Did you mean 'HANDS'?")


def test_a_wired_parameter_is_refused():
    expected = "is set by the parts around Clock, not in the config: remove it."
    assert rows({"LOAD": 1.0}) == [("CLOCK.LOAD", expected)]


def test_a_required_parameter_that_is_missing_is_named():
    assert rows({}, wired=()) == [("CLOCK.LOAD", "is required by Clock and missing.")]


def test_a_wrong_type_is_named():
    assert rows({"HANDS": "two"}) == [("CLOCK.HANDS", "expected int, got 'two' (a string).")]


def test_all_mistakes_of_a_node_are_found_together():
    assert [key for key, _ in rows({"LOAD": 1, "HANDS": "two", "HOURS": 12})] == ["CLOCK.LOAD", "CLOCK.HOURS", "CLOCK.HANDS"]


def test_a_component_is_built_with_its_default_parts():
    clock = build_node(Clock, {}, "CLOCK", load=1.5)
    assert (clock.hands, clock.main.turns, clock.spare) == (2, 5, [])


def test_wired_values_reach_the_component_and_those_parts_that_take_them():
    clock = build_node(Clock, {"SPARE": [{"NAME": "Coil"}]}, "CLOCK", load=1.5, weather="fine")
    assert (clock.load, clock.main.load, clock.spare[0].load) == (1.5, 1.5, 1.5)


def test_parts_are_built_from_their_nodes():
    clock = build_node(Clock, {"MAIN": {"NAME": "Coil", "TURNS": 7}, "SPARE": {"NAME": "Coil", "TURNS": 8}}, "CLOCK", load=0)
    assert (clock.main.turns, [spare.turns for spare in clock.spare]) == (7, [8])


def test_a_part_that_is_wired_whole_is_not_built():
    assert build_node(Clock, {}, "CLOCK", load=0, main="given").main == "given"


def test_a_mistake_in_a_part_has_its_full_key():
    with pytest.raises(ConfigError, match=r"^CLOCK\.SPARE\.1\.TURNS: expected int, got 'x' \(a string\)\.$"):
        build_node(Clock, {"SPARE": [{"NAME": "Coil"}, {"NAME": "Coil", "TURNS": "x"}]}, "CLOCK", load=0)


def test_building_reports_all_mistakes_of_a_node_in_one_message():
    with pytest.raises(ConfigError) as caught:
        build_node(Clock, {"HANDS": "two", "HOURS": 12}, "CLOCK", load=0)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["CLOCK.HOURS", "CLOCK.HANDS"]


def test_a_value_that_the_constructor_refuses_is_reported_with_the_key():
    with pytest.raises(ConfigError, match=r"^CLOCK \(Clock\): expected at most 3 hands, got 4$"):
        build_node(Clock, {"HANDS": 4}, "CLOCK", load=0)


def test_a_required_part_that_is_missing_is_named():
    class Bell:
        PARTS = {"MAIN": Component(SPRINGS)}  # noqa: RUF012

        def __init__(self, main: Any) -> None:
            pass

    with pytest.raises(ConfigError, match=r"^BELL\.MAIN: is required and missing\.$"):
        build_node(Bell, {}, "BELL")
