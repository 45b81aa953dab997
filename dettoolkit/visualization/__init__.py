"""Pictures of images with boxes, and charts of numbers. Colours are those of the classes, the same everywhere."""

from dettoolkit.visualization.draw import (
    DrawingStyle,
    draw_annotations,
    draw_comparison,
    draw_detections,
    save_picture,
)
from dettoolkit.visualization.palette import class_color, hex_color, text_color

__all__ = [
    "DrawingStyle",
    "class_color",
    "draw_annotations",
    "draw_comparison",
    "draw_detections",
    "hex_color",
    "save_picture",
    "text_color",
]
