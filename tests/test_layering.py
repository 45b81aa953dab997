"""What import-linter cannot see: imports by name, torch.distributed, and that nothing knows of the projects."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dettoolkit import registry
from dettoolkit.registry import Registry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dettoolkit"
MODULES = {file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}
REGISTRIES = dict(
    re.findall(r'^(\w+) = Registry\("\1", package="([\w.]+)"', (PACKAGE / "registry/__init__.py").read_text("utf-8"), re.M)
)


def imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def uses(tree: ast.AST, dotted: str) -> bool:
    """Return whether the module imports ``dotted``, or something of it, or reaches it by attributes."""
    if any(name == dotted or name.startswith(f"{dotted}.") for name in imported_names(tree)):
        return True
    return any(ast.unparse(node) == dotted for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def test_the_whole_package_is_looked_at() -> None:
    assert {"registry/registry.py", "engine/trainer.py", "modeling/meta_archs/retinanet.py"} <= MODULES.keys()


def test_modules_are_imported_by_name_in_three_places_only() -> None:
    # upwards: the registry, of the package that fills it. The other two are commands (downwards) and the user's own files.
    found = {name for name, tree in MODULES.items() if uses(tree, "importlib.import_module") or uses(tree, "importlib.util")}
    assert found == {"registry/registry.py", "cli/main.py", "config/plugins.py"}
    assert not [name for name, tree in MODULES.items() if "__import__" in {getattr(n, "id", "") for n in ast.walk(tree)}]


def test_only_the_package_distributed_uses_torch_distributed() -> None:
    users = {name.partition("/")[0] for name, tree in MODULES.items() if uses(tree, "torch.distributed")}
    assert users == {"distributed"}


def test_all_registries_are_looked_at() -> None:
    assert set(REGISTRIES) == {name for name, value in vars(registry).items() if isinstance(value, Registry)}


@pytest.mark.parametrize(("name", "package"), REGISTRIES.items())
def test_a_registry_s_classes_stand_in_the_package_that_it_imports(name: str, package: str) -> None:
    modules = [cls.__module__ for _, cls in getattr(registry, name)]
    ours = [module for module in modules if module.startswith("dettoolkit.")]  # other tests may have added classes of their own
    assert ours
    assert all(module.startswith(f"{package}.") for module in ours)


def test_nothing_in_dettoolkit_knows_the_projects() -> None:
    projects = [folder.name for folder in (ROOT / "projects").iterdir() if (folder / "README.md").is_file()]
    assert {"asymmetric_loss", "mobile_pafpn"} <= set(projects)
    words = re.compile("|".join([r"\bprojects[/.]", *projects]))
    knowing = [file.relative_to(ROOT).as_posix() for file in PACKAGE.rglob("*.py") if words.search(file.read_text("utf-8"))]
    assert not knowing


def test_a_project_is_a_module_a_config_and_a_test() -> None:
    for folder in (ROOT / "projects").iterdir():
        if (folder / "README.md").is_file():
            assert (folder / f"{folder.name}.py").is_file()
            assert list((folder / "configs").glob("*.yaml"))
            assert list((folder / "tests").glob("test_*.py"))


def test_tools_are_the_commands() -> None:
    commands = {path.stem for path in (PACKAGE / "cli").glob("*.py") if "def add_arguments" in path.read_text("utf-8")}
    called = {}
    for tool in (ROOT / "tools").glob("*.py"):
        if tool.stem == "benchmark":  # of the clone alone: what it runs is not in the wheel
            assert "benchmarks.speed" in tool.read_text(encoding="utf-8")
            continue
        match = re.search(r'run_command\("([\w-]+)"\)', tool.read_text(encoding="utf-8"))
        assert match is not None, f"{tool.name} is more than a command"
        called[tool.stem] = match[1].replace("-", "_")
    assert set(called.values()) <= commands
    assert {tool for tool, command in called.items() if tool != command} == {"train_net"}  # the one name the field knows
