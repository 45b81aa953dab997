"""The words of error messages."""

from __future__ import annotations

import pytest

from dettoolkit import errors
from dettoolkit.errors import DettoolkitError, did_you_mean, listed, shown


def test_the_nearest_name_is_suggested_whatever_its_case():
    assert did_you_mean("focalloss", ["L1Loss", "FocalLoss"]) == " Did you mean 'FocalLoss'?"


def test_nothing_is_suggested_where_nothing_is_near():
    assert did_you_mean("zzz", ["FocalLoss"]) == ""
    assert did_you_mean("zzz", []) == ""


def test_long_lists_say_how_many_more_there_are():
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(5), limit=3) == "0, 1, 2 and 2 more"
    assert listed([]) == "(none)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1, "1 (int)"),
        (0, "0 (int)"),
        (0.5, "0.5 (float)"),
        ("off", "'off' (a string)"),
        ([1, None], "[1, None] (a list)"),
        ({"A": 1}, "{'A': 1} (a mapping)"),
    ],
)
def test_values_are_shown_in_the_words_of_a_config(value, words):
    assert shown(value) == words


def test_long_values_are_shortened():
    assert shown("x" * 1000, limit=10) == "'xxxxxx... (a string)"


def test_every_error_is_one_that_commands_print_without_a_traceback():
    found = [obj for obj in vars(errors).values() if isinstance(obj, type) and issubclass(obj, Exception)]
    assert len(found) >= 8
    assert all(issubclass(error, DettoolkitError) for error in found)
