"""The row of exported forms: a model, the files exported of it, and torchvision's model, on one picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.dense_rows import NUM_CLASSES
from benchmarks.speed.model_rows import CONFIG, _torchvisions
from benchmarks.speed.timing import Row
from dettoolkit.config import load_config
from dettoolkit.errors import ConfigError, MissingDependencyError
from dettoolkit.export.comparison import BOX_TOLERANCE
from dettoolkit.export.exporting import FORMATS, write_unverified
from dettoolkit.export.verification import differences
from dettoolkit.inference.exported_detector import ExportedDetector
from dettoolkit.inference.stored_detector import StoredDetector
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo, Detections

SIZE = (800, 1216)


def export_forms(device: torch.device) -> Iterator[Row]:
    """Yield RetinaNet R50-FPN in float32, batch 1 at 800 x 1216, NMS inside: each exported form, eager, and torchvision's."""
    stored = stored_detector()
    with tempfile.TemporaryDirectory(prefix="speed_") as folder:  # files may be read as long as they are run
        yield _row(stored, _exported(stored, Path(folder), device), device)


def _row(stored: StoredDetector, forms: dict[str, ExportedDetector], device: torch.device) -> Row:
    model: Any = stored.model.to(device).eval()
    theirs = _torchvisions(device, SIZE).eval()
    image = torch.randint(256, (1, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).to(device)

    @torch.no_grad()
    def found(detector: Any) -> list[Detections]:
        return detector(image, [SIZE])

    @torch.no_grad()
    def torchvisions() -> list[dict[str, Tensor]]:
        return theirs([image[0] / 255])

    @torch.no_grad()
    def difference() -> float:
        """Return the largest distance of a box of any form from eager's, pixels; inf where one finds something else."""
        compared = [differences(model, form, image, [SIZE]) for form in forms.values()]
        return max(float("inf") if each.problem else each.box for each in compared)

    contestants: dict[str, Any] = {name: partial(found, form) for name, form in forms.items()}
    contestants |= {"eager": partial(found, model), "torchvision": torchvisions}
    return Row(f"exported forms, fp32, {SIZE[0]} x {SIZE[1]}, batch 1", contestants, difference, BOX_TOLERANCE)


def stored_detector() -> StoredDetector:
    """Return the detector that is measured, with random weights whose scores are spread, so that some are above 0.05."""
    cfg = load_config(CONFIG, ["MODEL.NUM_CLASSES", str(NUM_CLASSES), "MODEL.BACKBONE.WEIGHTS", ""])
    torch.manual_seed(0)
    model: Any = build_model(cfg)
    with torch.no_grad():
        model.head.classification.weight.normal_(0, 0.05)
    return StoredDetector(model, cfg, DatasetInfo("random", tuple(f"class {label}" for label in range(NUM_CLASSES))))


def _exported(stored: StoredDetector, folder: Path, device: torch.device) -> dict[str, ExportedDetector]:
    """Return the exported forms that run on a device."""
    forms = {name: _form(stored, folder / f"{name}{ending}", name, device) for name, (ending, _, _) in FORMATS.items()}
    return {name: form for name, form in forms.items() if form is not None}


def _form(stored: StoredDetector, path: Path, name: str, device: torch.device) -> ExportedDetector | None:
    try:
        write_unverified(stored, path, name)
        return ExportedDetector.read(path, str(device), trusted=True)
    except (ConfigError, MissingDependencyError) as error:
        print(f"left out: {name}: {error}")
        return None
