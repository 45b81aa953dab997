"""What an import costs: heavy libraries come in where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after a statement, and the dettoolkit ones in full."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return {name if name.startswith("dettoolkit") else name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "statement",
    [
        "import dettoolkit",
        "from dettoolkit.config import load_config",
        "import dettoolkit.modeling",
        "from dettoolkit.registry import LOSSES",
    ],
)
def test_the_front_doors_import_nothing_heavy(statement):
    found = modules_after(statement)
    assert "dettoolkit" in found
    assert not found & {"torch", "torchvision", "cv2", "pycocotools", "faster_coco_eval", "timm", "tensorboard", "jinja2"}


def test_importing_modeling_imports_none_of_its_parts():
    assert {name for name in modules_after("import dettoolkit.modeling") if name.startswith("dettoolkit.modeling.")} == set()


def test_modeling_exports_build_model_when_it_is_asked_for():
    assert "dettoolkit.modeling.meta_archs.retinanet" in modules_after("from dettoolkit.modeling import build_model")


def test_modeling_has_no_other_names():
    import dettoolkit.modeling

    with pytest.raises(AttributeError, match=r"'dettoolkit\.modeling' has no attribute 'build_modle'"):
        _ = dettoolkit.modeling.build_modle


def test_structures_do_not_import_torchvision():
    found = modules_after("import dettoolkit.structures")
    assert "torch" in found
    assert not found & {"torchvision", "cv2", "pycocotools"}
