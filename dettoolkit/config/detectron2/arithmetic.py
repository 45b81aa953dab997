"""Arithmetic written as Python, worked out by hand: nothing is ever handed to ``eval``."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from dettoolkit.errors import ConfigError, shown

_MAX_CHARACTERS = 1000
_MAX_STEPS = 10_000  # comprehensions within comprehensions multiply
_MAX_DEPTH = 50
_MAX_EXPONENT = 64
_MAX_NUMBER = 1e15
_ACCEPTED = "Read are numbers, + - * / **, brackets, lists, and [... for NAME in [...]]."


def evaluate(expression: str) -> Any:
    """Return the number or the (nested) list that a Python expression stands for.

    Read are numbers, ``+ - * / **``, lists, tuples (as lists) and comprehensions over one name without a condition, as in
    ``[[x, x * 2**(1.0/3)] for x in [32, 64]]``, with Python's meaning. There are no names but those of comprehensions, no
    calls and no attributes.

    Raises:
        ConfigError: anything else, a number past 1e15, an exponent past 64, more than 10,000 steps or 50 levels of nesting.
    """
    try:
        if len(expression) > _MAX_CHARACTERS:
            raise _Refused(f"it has more than {_MAX_CHARACTERS} characters.")
        return _Evaluation().value(_parsed(expression), {})
    except _Refused as refused:
        raise ConfigError(f"the expression {shown(expression)} is not worked out: {refused}") from None
    except ArithmeticError as error:
        raise ConfigError(f"the expression {shown(expression)} is not worked out: {error}.") from None


class _Refused(Exception):
    """Says why an expression is not worked out."""


def _parsed(expression: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's opinion on how the text is written
            return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # Python's parser gives up on deep nesting in all these ways
        raise _Refused(f"it is no Python expression. {_ACCEPTED}") from None


def _power(base: float, exponent: float) -> Any:
    if abs(exponent) > _MAX_EXPONENT:
        raise _Refused(f"the exponent {exponent} is past {_MAX_EXPONENT}.")
    return base**exponent


_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: _power,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}


class _Evaluation:
    """One pass over a syntax tree."""

    def __init__(self) -> None:
        self._steps = 0
        self._depth = 0

    def value(self, node: ast.expr, names: Mapping[str, Any]) -> Any:
        self._steps += 1
        self._depth += 1
        if self._steps > _MAX_STEPS or self._depth > _MAX_DEPTH:
            raise _Refused(f"it takes more than {_MAX_STEPS} steps or {_MAX_DEPTH} levels of nesting.")
        value = self._value(node, names)
        self._depth -= 1
        return value

    def _value(self, node: ast.expr, names: Mapping[str, Any]) -> Any:
        if isinstance(node, ast.Constant):
            return _number(node.value)
        if isinstance(node, ast.Name) and node.id in names:
            return names[node.id]
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(item, names) for item in node.elts]
        if isinstance(node, ast.ListComp) and len(node.generators) == 1:
            return self._comprehension(node.elt, node.generators[0], names)
        if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
            return _SIGNS[type(node.op)](_number(self.value(node.operand, names)))
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            left, right = (_number(self.value(side, names)) for side in (node.left, node.right))
            return _number(_OPERATIONS[type(node.op)](left, right))
        raise _Refused(f"{shown(ast.unparse(node))} is not read. {_ACCEPTED}")

    def _comprehension(self, element: ast.expr, loop: ast.comprehension, names: Mapping[str, Any]) -> list[Any]:
        items = self.value(loop.iter, names)
        if not isinstance(loop.target, ast.Name) or loop.ifs or loop.is_async or not isinstance(items, list):
            raise _Refused(f"{shown(ast.unparse(loop).strip())} is not read. {_ACCEPTED}")
        # numbers alone have names: with lists, a short expression could describe billions of values
        return [self.value(element, {**names, loop.target.id: _number(item)}) for item in items]


def _number(value: Any) -> Any:
    if type(value) not in (int, float):
        raise _Refused(f"{shown(value)} is no real number. {_ACCEPTED}")
    if not math.isfinite(value) or abs(value) > _MAX_NUMBER:
        raise _Refused(f"a number in it is past {_MAX_NUMBER:g}.")
    return value
