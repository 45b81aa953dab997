"""The few kinds of node that a config tree is made of.

A class that owns other components declares them in ``PARTS = {"KEY": Component(REGISTRY)}``; the checker of configs reads
it, and :func:`build_node` builds those parts before the class itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from dettoolkit.errors import ConfigError, did_you_mean, listed
from dettoolkit.registry.signature import coerce, parameters

if TYPE_CHECKING:
    from dettoolkit.registry.registry import Registry


@dataclass(frozen=True)
class Value:
    """A plain value: its type, its default and one sentence that says what it is (a run-level key)."""

    annotation: Any
    default: Any
    doc: str


@dataclass(frozen=True)
class Component:
    """A mapping with ``NAME``: a class of a registry and the parameters of its constructor.

    Args:
        registry: where ``NAME`` is looked up.
        default: the node taken when the config has none; without it the node is required.
        wired: parameters that the owner passes; a config that sets one is refused.
        doc: one sentence that says what the component is for.
    """

    registry: Registry
    default: Mapping[str, Any] | None = None
    wired: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class Plain:
    """A mapping whose keys are the parameters of one class, without a ``NAME`` since there is no choice."""

    cls: type
    wired: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class ListOf:
    """A list of components; ``or_one`` also admits a single component without the list."""

    item: Component
    default: tuple[Mapping[str, Any], ...] = ()
    or_one: bool = False
    doc: str = ""


@dataclass(frozen=True)
class MappingOf:
    """A mapping from names of the user's choice to components, or to sections of the same keys."""

    item: Component | Section
    doc: str = ""


@dataclass(frozen=True)
class Section:
    """A mapping with fixed keys."""

    keys: Mapping[str, Node]
    doc: str = ""


Node: TypeAlias = Value | Component | Plain | ListOf | MappingOf | Section


@dataclass
class Problems:
    """Collects what is wrong with a node, so that all of it is reported together."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: str, message: str) -> None:
        """Note that ``message`` holds at the config key ``path``."""
        self.rows.append((path, message))


def parts_of(cls: Any) -> Mapping[str, Node]:
    """Return the components that a class owns, by YAML key."""
    return getattr(cls, "PARTS", {})


def check_keys(keys: Iterable[str], accepted: Sequence[str], path: str, owner: str, problems: Problems) -> None:
    """Note each key that is not accepted as a problem, with the nearest name."""
    for key in keys:
        if key not in accepted:
            hint = " (Dots separate keys in overrides only; in a file they are nested.)" if "." in key else ""
            message = f"{owner} has no {key!r}.{did_you_mean(key, accepted)} Accepted: {listed(accepted)}.{hint}"
            problems.add(f"{path}.{key}" if path else str(key), message)


def check_parameters(
    cls: Any, node: Mapping[str, Any], path: str, wired: tuple[str, ...], problems: Problems
) -> dict[str, Any]:
    """Check plain parameters of a class against its signature.

    Args:
        cls: the class; the keys in its ``PARTS`` are left to the caller.
        node: upper-case keys and values, without ``NAME``.
        path: where the node stands, for messages.
        wired: parameters that the owner passes.
        problems: takes what is wrong.

    Returns:
        The value of each parameter by upper-case key, defaults filled in; wired ones and ``PARTS`` are left out.
    """
    known, parts = parameters(cls), parts_of(cls)
    wired_keys = {name.upper() for name in wired} & known.keys()
    for key in [key for key in node if key in wired_keys]:
        problems.add(f"{path}.{key}", f"is set by the parts around {cls.__name__}, not in the config: remove it.")
    settable = [key for key in known if key not in wired_keys]
    check_keys([key for key in node if key not in wired_keys], settable, path, cls.__name__, problems)
    values = {}
    for key, parameter in known.items():
        if key in wired_keys or key in parts:
            continue
        if key not in node:
            if parameter.required:
                problems.add(f"{path}.{key}", f"is required by {cls.__name__} and missing.")
            else:
                values[key] = parameter.default
            continue
        try:
            values[key] = coerce(node[key], parameter.annotation)
        except ConfigError as error:
            problems.add(f"{path}.{key}", str(error))
    return values


def build_node(cls: Any, node: Mapping[str, Any], path: str, **wired: Any) -> Any:
    """Build a class from a node without ``NAME``, its ``PARTS`` first.

    Args:
        cls: the class.
        node: upper-case parameters and their values.
        path: where the node stands in the config, for messages.
        wired: values known by others; those that the constructor takes are passed, to ``PARTS`` as well.

    Raises:
        ConfigError: wrong parameters (all of them in one message), or a value that the constructor refuses.
    """
    problems = Problems()
    values = check_parameters(cls, node, path, tuple(wired), problems)
    if problems.rows:
        raise ConfigError("\n".join(f"{where}: {what}" for where, what in problems.rows))
    names = {key: parameter.name for key, parameter in parameters(cls).items()}
    arguments = {names[key]: value for key, value in values.items()}
    for key, part in parts_of(cls).items():
        if names[key] not in wired:
            arguments[names[key]] = _build_part(part, node.get(key), f"{path}.{key}", **wired)
    arguments |= {name: value for name, value in wired.items() if name in names.values()}
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ConfigError(f"{path} ({cls.__name__}): {error}") from error


def _build_part(part: Node, node: Any, path: str, **wired: Any) -> Any:
    if isinstance(part, ListOf):
        items = part.default if node is None else node if isinstance(node, (list, tuple)) else [node]
        return [part.item.registry.build(item, f"{path}.{index}", **wired) for index, item in enumerate(items)]
    if isinstance(part, Component):
        chosen = part.default if node is None else node
        if chosen is None:
            raise ConfigError(f"{path}: is required and missing.")
        return part.registry.build(chosen, path, **wired)
    raise TypeError(f"{path}: PARTS of a class are Component or ListOf, got {type(part).__name__}")
