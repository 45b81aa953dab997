"""Expressions are worked out as Python does, and nothing but arithmetic is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dettoolkit.config.detectron2.arithmetic import evaluate
from dettoolkit.errors import ConfigError


def test_the_anchor_sizes_of_the_zoo_are_those_that_python_makes_of_them() -> None:
    expression = "[[x, x * 2**(1.0/3), x * 2**(2.0/3) ] for x in [32, 64, 128, 256, 512 ]]"
    assert evaluate(expression) == [[x, x * 2 ** (1.0 / 3), x * 2 ** (2.0 / 3)] for x in [32, 64, 128, 256, 512]]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-(2 - 5)", 3),
        ("+1", 1),
        ("7 / 2", 3.5),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        (" (1, [2, 3.5]) ", [1, [2, 3.5]]),
        ("[]", []),
        ("[x for x in (1, 2)]", [1, 2]),
        ("[[x * y for y in [1, 2]] for x in [3, 4]]", [[3, 6], [4, 8]]),
        ("[x for x in [x + 1 for x in [1, 2]]]", [2, 3]),
    ],
)
def test_arithmetic(expression: str, value: Any) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('touch ran')",
        "open('ran', 'w')",
        "().__class__.__bases__",
        "[x for x in range(3)]",
        "[open('ran', 'w') for x in [1]]",
        "[x for x in [1, 2] if x]",
        "[x for x in [1] for y in [2]]",
        "[y for x, y in [[1, 2]]]",
        "[x for x in 3]",
        "[[x] for x in [[1], [2]]]",
        "{x for x in [1]}",
        "x",
        "lambda: 1",
        "1 if 1 else 2",
        "1 < 2",
        "1 // 2",
        "not 1",
        "[1] * 3",
        "-[1]",
        "'a'",
        "True",
        "None",
        "1j",
        "(-8) ** 0.5",
        "*[1]",
    ],
)
def test_anything_else_is_refused_and_shown(expression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="is not worked out: ") as caught:
        evaluate(expression)
    assert expression in str(caught.value).replace('"', "'").replace("\\'", "'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("2 ** 65", "the exponent 65 is past 64"),
        ("10 ** 16", "a number in it is past 1e+15"),
        ("9 ** 9 ** 9", "the exponent 387420489 is past 64"),
        ("1e999", "a number in it is past 1e+15"),
        ("1 / 0", "division by zero"),
        ("1e15 ** 64", "is not worked out"),
        ("1 +", "it is no Python expression"),
        ("", "it is no Python expression"),
        ("\0", "it is no Python expression"),
        ("1; 2", "it is no Python expression"),
        ("[" * 60 + "]" * 60, "more than 10000 steps or 50 levels"),
        ("[" * 400 + "]" * 400, "it is no Python expression"),  # past what Python's parser takes
        ("-" * 900 + "1", "more than 10000 steps or 50 levels|it is no Python expression"),
        ("1 + " * 400 + "1", "more than 1000 characters"),
        (f"[[[a for a in {[1] * 40}] for b in {[1] * 40}] for c in {[1] * 40}]", "more than 10000 steps"),
    ],
)
def test_what_would_take_too_long_or_has_no_value(expression: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why.replace("+", r"\+")):
        evaluate(expression)
