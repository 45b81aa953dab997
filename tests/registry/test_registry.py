"""Registries: what registering, looking up and missing do."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from dettoolkit.errors import ConfigError
from dettoolkit.registry import LOSSES, TRANSFORMS, Registry


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry whose package has one class in it, and is imported by nobody yet."""
    package = tmp_path / "package_of_things"
    package.mkdir()
    (package / "__init__.py").write_text("from package_of_things import pebble\n")
    (package / "pebble.py").write_text(
        "import registry_of_things\n\n@registry_of_things.THINGS.register()\nclass Pebble:\n    'A stone.'\n"
    )
    (tmp_path / "registry_of_things.py").write_text(
        "from dettoolkit.registry import Registry\nTHINGS = Registry('THINGS', package='package_of_things')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("registry_of_things", "package_of_things", "package_of_things.pebble"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import registry_of_things

    return registry_of_things.THINGS


def test_the_package_is_imported_at_the_first_look_up_only(things: Registry):
    assert "package_of_things" not in sys.modules
    assert things.get("Pebble").__doc__ == "A stone."
    assert "package_of_things" in sys.modules


@pytest.mark.parametrize("look", [list, lambda registry: "Pebble" in registry, Registry.describe])
def test_every_way_to_look_loads_the_package(things: Registry, look):
    look(things)
    assert "package_of_things.pebble" in sys.modules


def test_description_has_name_place_and_first_line(things: Registry, tmp_path: Path):
    source = tmp_path / "package_of_things" / "pebble.py"
    assert things.describe() == f"Pebble: A stone. (package_of_things.pebble.Pebble ({source}:3))"


def test_iteration_is_by_name(things: Registry):
    @things.register()
    class Boulder:
        pass

    assert [name for name, _ in things] == ["Boulder", "Pebble"]


def test_a_package_that_fails_to_import_fails_at_every_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken_package.py").write_text("import no_such_library_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("THINGS", package="broken_package")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_library_at_all"):
            registry.get("Pebble")


def test_a_miss_names_the_nearest_lists_all_and_says_how_to_add_one(things: Registry):
    with pytest.raises(ConfigError) as caught:
        things.get("Peble")
    assert str(caught.value) == (
        "THINGS has no 'Peble'. Did you mean 'Pebble'? Registered: Pebble. "
        "A class of your own is found when PLUGINS names the file that registers it."
    )


@pytest.mark.parametrize("name", [None, 3, ["Pebble"], {"NAME": "Pebble"}])
def test_what_is_no_name_is_a_miss(things: Registry, name):
    assert name not in things
    with pytest.raises(ConfigError, match=re.escape(f"THINGS has no {name!r}.")):
        things.get(name)


def test_registering_the_same_module_and_qualname_again_replaces(things: Registry):
    def cell() -> type:
        @things.register()
        class Gravel:
            pass

        return Gravel

    first, second = cell(), cell()
    assert first is not second
    assert things.get("Gravel") is second


def test_another_origin_under_the_same_name_is_an_error_with_both_places(things: Registry):
    with pytest.raises(ConfigError) as caught:

        @things.register()
        class Pebble:
            pass

    message = str(caught.value)
    assert message.startswith("THINGS: 'Pebble' is registered twice: first by package_of_things.pebble.Pebble (")
    assert re.search(r"pebble\.py:3\), now by .*Pebble \(.*test_registry\.py:\d+\)\. Give one of them another name\.$", message)
    assert things.get("Pebble").__module__ == "package_of_things.pebble"  # and nothing has changed


def test_one_file_imported_under_two_module_names_is_one_origin(
    things: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import importlib.util

    for name in ("first_name", "second_name"):
        spec = importlib.util.spec_from_file_location(name, tmp_path / "package_of_things" / "pebble.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    assert things.get("Pebble").__module__ == "second_name"


def test_a_class_of_the_users_own_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch):
    LOSSES.get("FocalLoss")  # the package is loaded
    monkeypatch.setattr(LOSSES, "_obj_map", dict(LOSSES._obj_map))

    @LOSSES.register()
    class MyLoss:
        pass

    assert LOSSES.get("MyLoss") is MyLoss


def test_a_name_of_a_built_in_class_is_refused_even_before_its_package_was_imported(things: Registry):
    with pytest.raises(ConfigError, match="'Pebble' is registered twice"):

        @things.register()
        class Pebble:
            pass


def test_torchvision_transforms_are_found_by_name():
    from torchvision.transforms import v2

    assert TRANSFORMS.get("ColorJitter") is v2.ColorJitter
    assert "ColorJitter" in TRANSFORMS
    assert "ColourJitter" not in TRANSFORMS


def test_a_missed_transform_may_be_near_one_of_torchvision():
    with pytest.raises(ConfigError, match=r"TRANSFORMS has no 'ColorJiter'\. Did you mean 'ColorJitter'\?"):
        TRANSFORMS.get("ColorJiter")


def test_functions_and_other_classes_of_torchvision_are_no_transforms():
    for name in ("query_size", "InterpolationMode", "functional"):
        assert name not in TRANSFORMS


def test_a_registered_transform_goes_before_torchvisions():
    from torchvision.transforms import v2

    assert TRANSFORMS.get("RandomApply") is not v2.RandomApply
    assert TRANSFORMS.get("RandomApply").__module__ == "dettoolkit.data.transforms.composed"


@pytest.mark.parametrize("node", [None, "Pebble", {"SIZE": 3}, ["Pebble"]])
def test_building_from_what_is_no_node_says_what_a_node_is(things: Registry, node):
    with pytest.raises(ConfigError, match=r"^MODEL\.THING: expected a mapping with NAME \(one of THINGS\), got "):
        things.build(node, "MODEL.THING")


def test_building_an_unknown_component_names_the_key(things: Registry):
    with pytest.raises(ConfigError, match=r"^MODEL\.THING\.NAME: THINGS has no 'Peble'\. Did you mean 'Pebble'\?"):
        things.build({"NAME": "Peble"}, "MODEL.THING")
