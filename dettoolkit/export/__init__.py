"""Detectors as files that run without dettoolkit: ONNX and torch.export, compared with their model before they are there."""

from dettoolkit.export.exporting import FORMATS, export_detector
from dettoolkit.export.verification import Check

__all__ = ["FORMATS", "Check", "export_detector"]
