"""Pictures of what a detector found, and of what it should have found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from dettoolkit.errors import DataError
from dettoolkit.structures import Annotations, Detections
from dettoolkit.visualization.label_placement import place_labels
from dettoolkit.visualization.lettering import Lettering
from dettoolkit.visualization.palette import class_color, text_color
from dettoolkit.visualization.strokes import draw_box, draw_ignore_region


@dataclass(frozen=True)
class DrawingStyle:
    """How boxes and labels look.

    Args:
        line_width: of the boxes, in pixels; None: in proportion to the picture.
        font_size: of the labels, in pixels; None: in proportion to the picture.
        show_labels: write class names.
        show_scores: write scores beside the names.
        font: a TrueType file for scripts that the built-in fonts lack; they have Latin, Greek, Cyrillic, Chinese, Japanese,
            Korean, Hebrew and Arabic.
    """

    line_width: int | None = None
    font_size: int | None = None
    show_labels: bool = True
    show_scores: bool = True
    font: str | None = None


def draw_detections(
    image: Tensor | np.ndarray,
    detections: Detections,
    class_names: Sequence[str],
    score_threshold: float = 0.3,
    style: DrawingStyle | None = None,
) -> np.ndarray:
    """Return a picture of the image with the detections that score at least ``score_threshold``.

    Args:
        image: ``[3, H, W]`` uint8 RGB tensor or ``[H, W, 3]`` uint8 RGB array; it is not changed.
        detections: in pixels of the image.
        class_names: ``[K]``; label k is ``class_names[k]``.
        score_threshold: in 0..1.
        style: how it looks; None: in proportion to the picture.

    Returns:
        ``[H, W, 3]`` uint8 RGB.

    Raises:
        DataError: the image is not of these kinds, a label has no name, or a box is not finite.
    """
    style = style or DrawingStyle()
    shown = detections.to("cpu").above(score_threshold)
    shown = shown[shown.scores.argsort(descending=True, stable=True)]
    texts = [
        _text(label, class_names, score, style)
        for label, score in zip(shown.labels.tolist(), shown.scores.tolist(), strict=True)
    ]
    return _draw(image, shown.boxes, shown.labels, texts, [False] * len(shown), style)


def draw_annotations(
    image: Tensor | np.ndarray,
    annotations: Annotations,
    class_names: Sequence[str],
    style: DrawingStyle | None = None,
) -> np.ndarray:
    """Return a picture of the image with its ground truth; ignore regions are dashed and hatched.

    Args, return and errors are those of :func:`draw_detections`.
    """
    style = style or DrawingStyle()
    annotations = annotations.to("cpu")
    names = [_text(label, class_names, None, style)[0] for label in annotations.labels.tolist()]
    texts = [(name, " (ignored)" if ignore else "") for name, ignore in zip(names, annotations.ignore.tolist(), strict=True)]
    return _draw(image, annotations.boxes, annotations.labels, texts, annotations.ignore.tolist(), style)


def draw_comparison(
    image: Tensor | np.ndarray,
    annotations: Annotations,
    detections: Detections,
    class_names: Sequence[str],
    score_threshold: float = 0.3,
    style: DrawingStyle | None = None,
) -> np.ndarray:
    """Return the ground truth (left) beside the detections (right), each under its heading.

    Returns:
        ``[H + heading, 2 W + gap, 3]`` uint8 RGB; arguments and errors are those of :func:`draw_detections`.
    """
    truth = draw_annotations(image, annotations, class_names, style)
    found = draw_detections(image, detections, class_names, score_threshold, style)
    size = proportionate_font_size(*truth.shape[:2])
    count = int((detections.scores >= score_threshold).sum())
    panels = [
        _with_heading(truth, f"Ground truth: {int((~annotations.ignore).sum())}", size),
        _with_heading(found, f"Predictions from {score_threshold:.2f}: {count}", size),
    ]
    gap = np.full((len(panels[0]), max(2, size // 2), 3), 255, np.uint8)
    return np.hstack([panels[0], gap, panels[1]])


def save_picture(picture: np.ndarray, path: str | Path) -> Path:
    """Write an ``[H, W, 3]`` uint8 RGB picture, in the format that the ending names, and return its path; folders are made.

    Raises:
        DataError: the format is not known or the file cannot be written.
    """
    from PIL import Image

    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, quality=92)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the picture cannot be written: {error}") from None
    return path


def proportionate_font_size(height: int, width: int) -> int:
    """Return the font size in pixels that reads well on a picture: a small one is seen at its size, a large one scaled down."""
    return round(8 + 0.011 * max(height, width))


def proportionate_line_width(height: int, width: int) -> int:
    """Return the width in pixels of a box's line that is plain on a picture and hides little of it."""
    return max(1, round(0.75 + max(height, width) / 500))


def _draw(
    image: Tensor | np.ndarray,
    boxes: Tensor,
    labels: Tensor,
    texts: Sequence[tuple[str, str]],
    ignore: Sequence[bool],
    style: DrawingStyle,
) -> np.ndarray:
    """Draw all boxes and then all labels over them, the first in front; of a text (name, ending) the name is shortened."""
    picture = _as_picture(image)
    height, width = picture.shape[:2]
    if not boxes.isfinite().all():
        raise DataError(f"expected finite boxes, got {boxes[~boxes.isfinite().all(dim=1)][0].tolist()}")
    corners = np.clip(boxes.double().numpy(), 0, (width, height, width, height))
    colors = [class_color(label) for label in labels.tolist()]
    line_width = style.line_width or proportionate_line_width(height, width)
    for box, color, ignored in reversed(list(zip(corners, colors, ignore, strict=True))):
        (draw_ignore_region if ignored else draw_box)(picture, box, color, line_width)
    if not style.show_labels:
        return picture
    size = min(style.font_size or proportionate_font_size(height, width), int(height / 1.4))
    if size < 5:  # a picture too small for any letter
        return picture
    lettering = Lettering(size, style.font)
    shown = [lettering.fit(name, width, ending) for name, ending in texts]
    sizes = [(lettering.line_height, min(width, lettering.width(text))) for text in shown]
    places = place_labels(corners, sizes, (height, width))
    for text, (left, top, right, bottom), color in reversed(list(zip(shown, places, colors, strict=True))):
        if text:
            picture[top:bottom, left:right] = color
            lettering.write(picture[top:bottom, left:right], text, 0, 0, text_color(color))
    return picture


def _as_picture(image: Tensor | np.ndarray) -> np.ndarray:
    """Return a new contiguous ``[H, W, 3]`` uint8 array of the image."""
    picture = image.permute(1, 2, 0).cpu().numpy() if isinstance(image, Tensor) and image.ndim == 3 else image
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise DataError(
            "expected a uint8 RGB tensor [3, H, W] or array [H, W, 3], "
            f"got {type(image).__name__} {list(image.shape)} {image.dtype}"
        )
    return picture.copy(order="C")


def _text(label: int, class_names: Sequence[str], score: float | None, style: DrawingStyle) -> tuple[str, str]:
    """Return a label's text: the class name, and what stands after it."""
    if not 0 <= label < len(class_names):
        raise DataError(f"a box has label {label}; expected 0..{len(class_names) - 1}, the indices of the class names")
    return class_names[label], f" {score:.2f}" if style.show_scores and score is not None else ""


def _with_heading(picture: np.ndarray, text: str, size: int) -> np.ndarray:
    lettering = Lettering(size)
    heading = np.full((lettering.line_height + lettering.margin, picture.shape[1], 3), 255, np.uint8)
    lettering.write(heading, lettering.fit(text, picture.shape[1]), 0, lettering.margin // 2, (30, 30, 30))
    return np.vstack([heading, picture])
