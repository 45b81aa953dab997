"""What importing the package costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dettoolkit import modeling


def test_importing_modeling_imports_no_library() -> None:
    code = "import sys, dettoolkit.modeling; print({'torch', 'torchvision', 'timm', 'fvcore'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


def test_build_model_is_found_when_it_is_asked_for() -> None:
    from dettoolkit.modeling.meta_archs import build_model

    assert modeling.build_model is build_model


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'build_modle'"):
        modeling.build_modle  # noqa: B018
