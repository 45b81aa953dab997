"""What gets installed: the wheel's contents, the console command and what starting it costs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import dettoolkit

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("dettoolkit", "configs", "tests", "projects"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "."]
    subprocess.run([*command, "--wheel-dir", str(folder / "dist")], cwd=folder, check=True)
    (file,) = (folder / "dist").glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.mark.slow
def test_the_wheel_is_for_every_machine(wheel: zipfile.ZipFile) -> None:
    assert Path(str(wheel.filename)).name == f"dettoolkit-{dettoolkit.__version__}-py3-none-any.whl"


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_package_needs_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if not name.startswith("dettoolkit-")}
    package = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "dettoolkit").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    configs = {f"dettoolkit/{file.relative_to(ROOT).as_posix()}" for file in (ROOT / "configs").rglob("*.yaml")}
    assert "dettoolkit/py.typed" in names
    assert "dettoolkit/report/templates/report.html" in names
    assert any(name.startswith("dettoolkit/visualization/fonts/") for name in names)
    assert names == package | configs


@pytest.mark.slow
def test_the_wheel_declares_licence_command_and_extras(wheel: zipfile.ZipFile) -> None:
    info = f"dettoolkit-{dettoolkit.__version__}.dist-info"
    facts = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in facts
    assert {"timm", "wandb", "dev"} <= set(re.findall(r"^Provides-Extra: (\w+)", facts, re.MULTILINE))
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert "dettoolkit = dettoolkit.cli.main:main" in wheel.read(f"{info}/entry_points.txt").decode()


def test_the_installed_version_is_the_package_s() -> None:
    assert metadata.version("dettoolkit") == dettoolkit.__version__


@pytest.mark.parametrize(
    ("code", "left_out"),
    [
        ("import dettoolkit", {"torch", "torchvision", "numpy", "yaml", "fvcore", "cv2", "pycocotools"}),
        ("from dettoolkit.config import load_config", {"torchvision", "cv2", "pycocotools", "faster_coco_eval", "jinja2"}),
        (
            "from dettoolkit.cli.main import main; main(['--version'])",
            {"torch", "torchvision", "numpy", "yaml", "fvcore", "cv2"},
        ),
        ("from dettoolkit.cli.main import main; main(['--help'])", {"torch", "torchvision", "numpy", "yaml", "fvcore", "cv2"}),
        ("from dettoolkit.cli.main import main; main(['train', '--help'])", {"torch", "torchvision", "numpy", "fvcore", "cv2"}),
    ],
)
def test_what_is_not_needed_is_not_imported(code: str, left_out: set[str]) -> None:
    lines = ["import sys", "try:", f"    {code}", "except SystemExit:", "    pass", "print(*sys.modules, file=sys.stderr)"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert not left_out & set(done.stderr.split())


def test_the_console_command_is_there() -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="dettoolkit")
    assert entry.value == "dettoolkit.cli.main:main"
    done = subprocess.run(
        [Path(sys.executable).with_name("dettoolkit"), "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == dettoolkit.__version__


def test_python_m_is_the_console_command() -> None:
    done = subprocess.run([sys.executable, "-m", "dettoolkit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == dettoolkit.__version__
