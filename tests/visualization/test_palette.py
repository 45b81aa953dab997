"""The colours of the classes."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from dettoolkit.visualization.palette import _oklab, class_color, hex_color, text_color


def test_a_class_has_the_same_color_in_another_process() -> None:
    code = "from dettoolkit.visualization.palette import class_color; print([class_color(k) for k in range(40)])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str([class_color(label) for label in range(40)])


@pytest.mark.parametrize(("num_classes", "distance"), [(8, 0.15), (24, 0.08), (80, 0.045)])
def test_colors_of_many_classes_can_be_told_apart(num_classes: int, distance: float) -> None:
    # in Oklab a just noticeable difference is about 0.02
    colors = _oklab(np.array([class_color(label) for label in range(num_classes)]))
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colors, 2)) > distance


def test_oklab_of_the_primaries_is_that_of_its_author() -> None:
    # https://bottosson.github.io/posts/oklab/: white is (1, 0, 0); red is (0.628, 0.225, 0.126)
    assert _oklab(np.array([255, 255, 255])) == pytest.approx([1, 0, 0], abs=1e-3)
    assert _oklab(np.array([255, 0, 0])) == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


def test_text_is_the_more_legible_of_black_and_white() -> None:
    assert text_color((255, 255, 0)) == (0, 0, 0)
    assert text_color((0, 0, 160)) == (255, 255, 255)
    # WCAG: contrast of white and of black on #757575 is 4.6 and 4.5, on #777777 4.5 and 4.7
    assert text_color((0x75, 0x75, 0x75)) == (255, 255, 255)
    assert text_color((0x77, 0x77, 0x77)) == (0, 0, 0)


def test_hex_color_is_what_html_takes() -> None:
    assert hex_color((255, 0, 10)) == "#ff000a"
