"""Writing a mended copy of the data sets of a check, in COCO's format, with a list of all that is otherwise in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dettoolkit.config import dump_config
from dettoolkit.data.image_io import read_image
from dettoolkit.diagnosis.dataset.check import DatasetCheck
from dettoolkit.diagnosis.dataset.inspection import InspectedSet
from dettoolkit.diagnosis.dataset.mending.boxes import MendedBoxes, mended_boxes
from dettoolkit.diagnosis.dataset.mending.changes import Change
from dettoolkit.diagnosis.dataset.mending.images import SetPlan, leave_out, planned_images
from dettoolkit.errors import ConfigError, DataError

# what only people can decide
LEFT = ("boxes-displaced", "class-not-in-training", "classes-differ", "no-boxes", "leaked-scene")


def write_mended_copy(check: DatasetCheck, cfg: Any, folder: Path) -> list[Change]:
    """Write ``folder/NAME.json`` and ``folder/images/NAME/`` for each data set, ``config.yaml`` and the changes.

    Whatever format a set had, its copy is in COCO's; category ids are labels plus 1. Nothing of the original is touched: images
    are copied. ``config.yaml`` is ``cfg`` on the copy; ``changes.txt`` and ``changes.json`` list each change.

    Args:
        check: of decoded images.
        cfg: that was checked.
        folder: new or empty.

    Raises:
        ConfigError: a set has no image files.
        DataError: a file cannot be written.
    """
    for inspected in check.sets:
        if inspected.image_root is None:
            raise ConfigError(f"--fix: {inspected.info.name} draws its images: there are no files to mend.")
    plans = [planned_images(*both) for both in zip(check.sets, check.scans, strict=True)]
    _leave_out_copies(check, plans)
    boxes = [mended_boxes(*both) for both in zip(check.sets, plans, strict=True)]
    used = _used_classes(check.sets, boxes)
    try:
        for inspected, plan, of_set in zip(check.sets, plans, boxes, strict=True):
            _add_unreadable(inspected, plan)
            _write_set(inspected, plan, of_set, used, folder)
        changes = [change for plan in plans for change in plan.changes]
        _write_changes(changes, check, folder)
        (folder / "config.yaml").write_text(_config(cfg, check, folder), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: the mended copy cannot be written: {error}") from error
    return changes


def left_as_they_are(check: DatasetCheck) -> list[str]:
    """Return what a mended copy leaves as it is, because only people can decide it."""
    left = [finding for finding in check.findings if finding.kind in LEFT]
    return [f"left as it is, for you to decide: {finding.title}: {finding.count}" for finding in left]


def _leave_out_copies(check: DatasetCheck, plans: Sequence[SetPlan]) -> None:
    """Keep one picture of each group that shows the same: of a set that is evaluated on, so that the training loses it."""
    numbers = {inspected.info.name: number for number, inspected in enumerate(check.sets)}
    for group in check.groups:
        places = [(numbers[name.dataset], check.sets[numbers[name.dataset]].index_of(name.image_id)) for name in group.pictures]
        present = [(number, index) for number, index in places if not plans[number].images[index].left_out]
        present.sort(key=lambda place: "test" not in check.sets[place[0]].uses)
        for number, index in present[1:]:
            kept = check.sets[present[0][0]]
            why = f"the same picture as {kept.images[present[0][1]].file_name} of {kept.info.name}"
            leave_out(plans[number], check.sets[number], index, why)


def _used_classes(sets: Sequence[InspectedSet], boxes: Sequence[MendedBoxes]) -> set[str]:
    """Return the names of the classes that have a box in any of the sets; of all classes where there is no box at all."""
    used = set()
    for inspected, of_set in zip(sets, boxes, strict=True):
        labels = np.unique(inspected.boxes.labels[of_set.kept & ~of_set.ignore])
        used |= {inspected.info.class_names[label] for label in labels.tolist()}
    return used or {name for inspected in sets for name in inspected.info.class_names}


def _add_unreadable(inspected: InspectedSet, plan: SetPlan) -> None:
    for words, where in inspected.faults:
        what = "numbered anew" if words == "repeated annotation ids" else "left out"
        plan.changes.append(Change(inspected.info.name, "", f"{where}: {what} ({words})"))


def _write_set(inspected: InspectedSet, plan: SetPlan, boxes: MendedBoxes, used: set[str], folder: Path) -> None:
    name = inspected.info.name
    target = folder / "images" / name
    target.mkdir(parents=True)
    for index, image in enumerate(plan.images):
        if not image.left_out:
            _write_image(inspected, index, target / image.file_name, image.is_turned)
    categories = []
    for label, class_name in enumerate(inspected.info.class_names):
        if class_name in used:
            categories.append({"id": label + 1, "name": class_name})
        else:
            plan.changes.append(Change(name, "", f"category {class_name!r} left out: no box of any set has it"))
    content = {"images": _images(inspected, plan), "annotations": _annotations(inspected, boxes, categories)}
    (folder / f"{name}.json").write_text(json.dumps(content | {"categories": categories}), encoding="utf-8")


def _write_image(inspected: InspectedSet, index: int, target: Path, turn: bool) -> None:
    assert inspected.image_root is not None, "sets that draw their images are refused"
    source = inspected.image_root / inspected.images[index].file_name
    target.parent.mkdir(parents=True, exist_ok=True)
    if turn:
        Image.fromarray(read_image(source).permute(1, 2, 0).numpy()).save(target)
    else:
        shutil.copyfile(source, target)


def _images(inspected: InspectedSet, plan: SetPlan) -> list[dict[str, Any]]:
    return [
        {"id": image.image_id, "file_name": planned.file_name, "height": planned.size[0], "width": planned.size[1]}
        for image, planned in zip(inspected.images, plan.images, strict=True)
        if not planned.left_out
    ]


def _annotations(inspected: InspectedSet, boxes: MendedBoxes, categories: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    table, known = inspected.boxes, {category["id"] for category in categories}
    original, _ = inspected.pixel_corners()
    rows: list[dict[str, Any]] = []
    for index in np.flatnonzero(boxes.kept).tolist():
        category_id = int(table.labels[index]) + 1
        if category_id not in known:  # a crowd region of a class without objects
            continue
        x1, y1, x2, y2 = boxes.corners[index].tolist()
        stays = np.array_equal(original[index], boxes.corners[index]) and np.isfinite(table.areas[index])
        area = float(table.areas[index]) if stays else (x2 - x1) * (y2 - y1)
        row = {"id": len(rows) + 1, "image_id": inspected.images[int(boxes.owners[index])].image_id}
        bbox = [round(number, 3) for number in (x1, y1, x2 - x1, y2 - y1)]
        crowd = int(boxes.ignore[index])
        rows.append(row | {"category_id": category_id, "bbox": bbox, "area": round(area, 3), "iscrowd": crowd})
    return rows


def _write_changes(changes: Sequence[Change], check: DatasetCheck, folder: Path) -> None:
    left = [finding for finding in check.findings if finding.kind in LEFT]
    lines = [*map(str, changes), *left_as_they_are(check)]
    (folder / "changes.txt").write_text("\n".join(lines) + "\n" if lines else "nothing was changed\n", encoding="utf-8")
    data = {"changes": [asdict(change) for change in changes], "left": [finding.to_dict() for finding in left]}
    (folder / "changes.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _config(cfg: Any, check: DatasetCheck, folder: Path) -> str:
    """Return the config on the copy, as YAML."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATASETS.ROOT = str(folder.resolve())
    for inspected in check.sets:
        name = inspected.info.name
        node = {"NAME": "COCODataset", "ANNOTATIONS": f"{name}.json", "IMAGES": f"images/{name}"}
        cfg.DATASETS.CATALOG[name] = type(cfg)(node)
    for name in set(cfg.DATASETS.CATALOG) - {inspected.info.name for inspected in check.sets}:
        del cfg.DATASETS.CATALOG[name]  # its paths are relative to another folder
    known = set(cfg.DATASETS.CATALOG)
    for use in ("TRAIN", "TEST"):
        cfg.DATASETS[use] = [name for name in cfg.DATASETS[use] if name in known]
    for name in set(cfg.DATASETS.MIX) - set(cfg.DATASETS.TRAIN):
        del cfg.DATASETS.MIX[name]
    return dump_config(cfg)
