"""A constructor's signature is its schema: the names, types, defaults and words that a config is checked against."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from dettoolkit.errors import ConfigError, shown

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor, as a config sees it."""

    name: str
    annotation: Any
    default: Any

    @property
    def key(self) -> str:
        """The YAML key: the name in upper case."""
        return self.name.upper()

    @property
    def required(self) -> bool:
        """Whether the constructor has no default for it."""
        return self.default is REQUIRED


def parameters(component: Any) -> dict[str, Parameter]:
    """Return the parameters of a class's constructor (or of a function) by YAML key, in their order."""
    function = component.__init__ if inspect.isclass(component) else component
    found = {}
    for name, parameter in inspect.signature(component).parameters.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            found[name.upper()] = Parameter(name, _annotation(function, parameter), parameter.default)
    return found


def _annotation(function: Any, parameter: inspect.Parameter) -> Any:
    """Return the type of a parameter; Any where only a type checker can resolve it (its name is still checked)."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    try:
        names = getattr(inspect.unwrap(function), "__globals__", {})
        return typing.get_type_hints(_Annotated(parameter.annotation), names, include_extras=True)["it"]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return Any


class _Annotated:
    """Something with one annotation, for :func:`typing.get_type_hints`."""

    def __init__(self, annotation: str) -> None:
        self.__annotations__ = {"it": annotation}


@cache
def _adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    try:
        return TypeAdapter(annotation, config=ConfigDict(ser_json_inf_nan="constants"))
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None  # a type that no YAML value can have (a module, a tensor): such a parameter is wired


def coerce(value: Any, annotation: Any) -> Any:
    """Return ``value`` as the annotated type: an int where a float is wanted, a list where a tuple is wanted, nothing else.

    Raises:
        ConfigError: the value is of another type; the message has what is accepted and what came.
    """
    if annotation is Any or annotation is REQUIRED:
        return value
    from pydantic import ValidationError

    try:
        adapter = _adapter(annotation)
    except TypeError:  # an annotation that cannot be hashed
        adapter = None
    if adapter is None:
        return value
    try:
        # strict JSON mode is YAML's idea of types: arrays become tuples, integers floats, and strings stay strings
        return adapter.validate_json(json.dumps(value, default=os.fspath), strict=True)
    except (ValidationError, TypeError):
        raise ConfigError(f"expected {describe_type(annotation)}, got {shown(value)}.") from None


def describe_type(annotation: Any) -> str:
    """Return a type in the words of a config file: ``float``, ``list of int``, ``'error' or 'drop'``, ``int or null``.

    An ``Annotated`` type may bring words of its own, or bounds: ``Annotated[int, Ge(1)]`` is ``int >= 1``.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Annotated:
        words = [item for item in annotation.__metadata__ if isinstance(item, str)]
        return words[0] if words else f"{describe_type(arguments[0])}{_bounds(annotation.__metadata__)}"
    if origin is typing.Literal:
        return " or ".join(repr(value) for value in arguments)
    if origin is typing.Union or type(annotation).__name__ == "UnionType":
        return " or ".join(describe_type(argument) for argument in arguments)
    if origin is not None and issubclass(origin, (list, tuple, typing.Sequence)):
        items = [argument for argument in arguments if argument is not Ellipsis]
        if origin is tuple and Ellipsis not in arguments:
            return f"a list of {len(items)}: " + ", ".join(describe_type(item) for item in items)
        return "list of " + " or ".join(describe_type(item) for item in items).replace("a string", "strings")
    if origin is not None and issubclass(origin, typing.Mapping):
        return "a mapping"
    return {"str": "a string", "bool": "true or false"}.get(
        getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation))
    )


def _bounds(metadata: Iterable[Any]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return " and".join(
        f" {sign} {getattr(item, name)}" for item in metadata for name, sign in signs.items() if hasattr(item, name)
    )


def documentation(component: Any, parameter: str) -> str:
    """Return what the docstring of a class (or of its constructor) says of a parameter, or an empty string."""
    from docstring_parser import DocstringStyle, parse

    texts = [inspect.getdoc(documented) or "" for documented in (component, getattr(component, "__init__", None))]
    # Google's style first: a lone parameter beside a :role: is taken for another style otherwise
    for text, style in itertools.product(texts, (DocstringStyle.GOOGLE, DocstringStyle.AUTO)):
        for entry in parse(text, style=style).params:
            if entry.arg_name == parameter:
                return " ".join((entry.description or "").split())
    return ""


def source_file(obj: Any) -> str | None:
    """Return the file that defines a class or function; None for one that was defined at a prompt."""
    try:
        return inspect.getsourcefile(obj)
    except (OSError, TypeError):
        return None


def place(obj: Any) -> str:
    """Return ``module.qualname (file:line)`` of a class or function."""
    name = f"{obj.__module__}.{obj.__qualname__}"
    try:
        return f"{name} ({source_file(obj)}:{inspect.findsource(obj)[1] + 1})"
    except (OSError, TypeError):  # defined at a prompt
        return name
