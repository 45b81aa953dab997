"""What every built-in component keeps to: its constructor is its schema and its docstring is its manual."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from dettoolkit import registry as registries
from dettoolkit.registry import Registry
from dettoolkit.registry.schema import parts_of
from dettoolkit.registry.signature import coerce, documentation, parameters

ALL = [value for value in vars(registries).values() if isinstance(value, Registry)]


def components(registry: Registry) -> list[tuple[str, Any]]:
    return [(name, cls) for name, cls in registry if cls.__module__.startswith("dettoolkit.")]


def test_every_registry_is_exported_under_its_name():
    assert len(ALL) >= 18
    assert all(getattr(registries, registry.name) is registry and registry.name in registries.__all__ for registry in ALL)


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.name)
def test_every_registry_finds_its_components_by_itself(registry):
    assert components(registry)


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.name)
def test_every_parameter_has_a_type_and_a_sentence(registry):
    silent = [
        f"{name}.{key}"
        for name, cls in components(registry)
        for key, parameter in parameters(cls).items()
        if parameter.annotation is inspect.Parameter.empty or not documentation(cls, parameter.name)
    ]
    assert silent == []


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.name)
def test_every_default_is_accepted_by_its_own_type(registry):
    for _, cls in components(registry):
        for key, parameter in parameters(cls).items():
            if not parameter.required and key not in parts_of(cls):
                coerced = coerce(parameter.default, parameter.annotation)  # raises where the type refuses it
                assert coerced == parameter.default, f"{cls.__name__}.{key}"
