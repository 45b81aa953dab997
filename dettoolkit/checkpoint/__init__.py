"""Weight files and checkpoints: tensors and plain data, read without running anything, written whole or not at all."""

from dettoolkit.checkpoint.fetching import fetch
from dettoolkit.checkpoint.load_report import LoadReport
from dettoolkit.checkpoint.loading import load_backbone, load_pretrained, load_weights
from dettoolkit.checkpoint.safe_reader import read
from dettoolkit.checkpoint.saving import write

__all__ = ["LoadReport", "fetch", "load_backbone", "load_pretrained", "load_weights", "read", "write"]
