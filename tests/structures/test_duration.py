"""Duration: iterations or epochs."""

from __future__ import annotations

import pytest

from dettoolkit.errors import ConfigError
from dettoolkit.structures import Duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (90000, Duration(90000, "it")),
        ("90000", Duration(90000, "it")),
        ("90000it", Duration(90000, "it")),
        (" 12 ep ", Duration(12, "ep")),
        ("0.5ep", Duration(0.5, "ep")),
        (0, Duration(0, "it")),
    ],
)
def test_iterations_and_epochs_are_read(text, expected):
    assert Duration.parse(text) == expected


@pytest.mark.parametrize("text", ["12epochs", "ep", "", "-3", "-1ep", "1e3", "12 ep 3", "auto", "nan", "infep", True, None])
def test_other_words_are_refused_with_what_is_accepted(text):
    with pytest.raises(ConfigError) as caught:
        Duration.parse(text)
    assert str(caught.value) == f"expected iterations (90000 or '90000it') or epochs ('12ep'), got {text!r}"


def test_a_broken_number_of_iterations_is_refused():
    with pytest.raises(ConfigError, match=r"expected a whole number of iterations, got '2\.5it'"):
        Duration.parse("2.5it")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100it", 100),  # whatever an epoch is
        ("2ep", 20),
        ("0.25ep", 2),  # 2.5 is rounded to even
        ("0.01ep", 1),  # something is at least one iteration
        ("0ep", 0),
        ("0it", 0),
    ],
)
def test_iterations_with_ten_to_an_epoch(text, expected):
    assert Duration.parse(text).iterations(10) == expected


@pytest.mark.parametrize("text", ["12ep", "0.5ep", "90000it", "1000000it"])
def test_a_duration_prints_as_it_is_read(text):
    assert str(Duration.parse(text)) == text
    assert Duration.parse(str(Duration.parse(text))) == Duration.parse(text)
