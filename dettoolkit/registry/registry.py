"""Registry: short names for classes, found by the package that holds them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fvcore.common.registry import Registry as FvcoreRegistry

from dettoolkit.errors import ConfigError, did_you_mean, listed, shown
from dettoolkit.registry.schema import build_node
from dettoolkit.registry.signature import place, source_file


class Registry(FvcoreRegistry):
    """Name -> class, on fvcore's ``Registry``.

    The registry knows the package whose modules fill it and imports that package at the first look-up, so that nobody
    has to remember an import, and so that naming a registry costs nothing.

    Args:
        name: what users call it, e.g. ``"BACKBONES"``.
        package: the package that registers the built-in classes, imported at the first look-up.
        fallback: returns classes by name that stand in where nobody registered one (``torchvision.transforms.v2``).
    """

    def __init__(self, name: str, package: str, fallback: Callable[[], Mapping[str, Any]] | None = None) -> None:
        super().__init__(name)
        self._package: str | None = package
        self._fallback = fallback

    @property
    def name(self) -> str:
        """The name of the registry, as in the YAML's comments and in messages."""
        return str(self._name)

    def _load(self) -> None:
        if self._package is None:
            return
        package, self._package = self._package, None  # first: the package looks things up here while it is imported
        try:
            importlib.import_module(package)
        except BaseException:
            self._package = package  # the next look-up shows the same error, not a half-filled registry
            raise

    def _do_register(self, name: str, obj: Any) -> None:
        """Add ``obj``; one of the same origin replaces it, so that a notebook cell or a file can be run twice.

        Raises:
            ConfigError: the name belongs to an object of another origin; both places are shown.
        """
        self._load()  # first: a name that a built-in class has is refused here, where it is given again
        present = self._obj_map.get(name)
        if present is not None and not _same_origin(present, obj):
            raise ConfigError(
                f"{self.name}: {name!r} is registered twice: first by {place(present)}, now by {place(obj)}. "
                "Give one of them another name."
            )
        self._obj_map[name] = obj

    def _others(self) -> Mapping[str, Any]:
        return self._fallback() if self._fallback is not None else {}

    def get(self, name: str) -> Any:
        """Return the class registered as ``name``.

        Raises:
            ConfigError: nothing has that name; the message has the nearest one and lists all.
        """
        if name in self:
            return self._obj_map[name] if name in self._obj_map else self._others()[name]
        near = did_you_mean(name, [*self._obj_map, *self._others()])
        raise ConfigError(
            f"{self.name} has no {name!r}.{near} Registered: {listed(sorted(self._obj_map))}. "
            "A class of your own is found when PLUGINS names the file that registers it."
        )

    def __contains__(self, name: object) -> bool:
        self._load()
        return isinstance(name, str) and (name in self._obj_map or name in self._others())

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        self._load()
        return iter(sorted(self._obj_map.items()))

    def build(self, node: Mapping[str, Any], path: str, **wired: Any) -> Any:
        """Build the component that ``node`` describes.

        Args:
            node: ``{"NAME": ..., "PARAMETER": value, ...}``; upper-case keys are the constructor's parameters.
            path: where the node stands in the config, for messages, e.g. ``"MODEL.NECK"``.
            wired: values that another part knows (channels, strides, ...). Those that the constructor takes are passed;
                a node that sets one of them is refused.

        Raises:
            ConfigError: no such component, or parameters that its constructor does not take as they are.
        """
        if not isinstance(node, Mapping) or "NAME" not in node:
            raise ConfigError(f"{path}: expected a mapping with NAME (one of {self.name}), got {shown(node)}.")
        try:
            cls = self.get(node["NAME"])
        except ConfigError as error:
            raise ConfigError(f"{path}.NAME: {error}") from None
        parameters = {key: value for key, value in node.items() if key != "NAME"}
        return build_node(cls, parameters, path, **wired)

    def describe(self) -> str:
        """Return one line per registered class: its name, its place and the first line of its docstring."""
        rows = [f"{name}: {(inspect.getdoc(obj) or '').partition(chr(10))[0]} ({place(obj)})" for name, obj in self]
        return "\n".join(rows)


def _same_origin(first: Any, second: Any) -> bool:
    """Return whether two classes are one definition: of the same module, or of a file that was imported under two names."""
    if first.__qualname__ != second.__qualname__:
        return False
    file = source_file(first)
    return first.__module__ == second.__module__ or (file is not None and file == source_file(second))
