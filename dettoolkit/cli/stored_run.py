"""What a run found on a data set of its config, beside the ground truth: read from its folder, without any network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import ConfigError, DataError, EvaluationError, did_you_mean, listed

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

    from dettoolkit.data.datasets.dataset import DetectionDataset
    from dettoolkit.structures import DatasetInfo, Detections, EvaluatedImage


@dataclass(frozen=True)
class StoredRun:
    """One run on one data set.

    Args:
        folder: of the run.
        cfg: of the run, with the overrides.
        info: of the data set.
        images: all of it, in its order.
        max_detections: limit of detections an image and class that AP is taken with.
    """

    folder: Path
    cfg: CfgNode
    info: DatasetInfo
    images: list[EvaluatedImage]
    max_detections: int


def read_run(folder: Path, dataset: str | None, config_file: str | None, overrides: Sequence[str]) -> StoredRun:
    """Read ``inference/<data set>/predictions.json`` of a run and the ground truth that its config names.

    Args:
        folder: of a run, or of one of its evaluations.
        dataset: one of its ``DATASETS.TEST``; None where there is only one.
        config_file: instead of the folder's ``config.yaml``.
        overrides: KEY VALUE pairs, laid over the config.

    Raises:
        ConfigError: the folder or its config is missing, or the data set is not one of its own.
        DataError: the ground truth cannot be found.
        EvaluationError: there are no predictions, they cannot be read, or they are of other images.
    """
    from dettoolkit.cli.draw_predictions import read_predictions
    from dettoolkit.engine.run_folder import RunFolder

    cfg = _config(folder, config_file, overrides)
    name = _dataset_name(cfg, dataset, folder)
    truth = _dataset(cfg, name, folder)
    path = RunFolder(folder).predictions(name)
    images = evaluated_images(truth, read_predictions(path, truth.info), path)
    return StoredRun(folder, cfg, truth.info, images, _max_detections(cfg))


def _config(folder: Path, config_file: str | None, overrides: Sequence[str]) -> CfgNode:
    from dettoolkit.config import load_config

    if not folder.is_dir():
        beside = [str(path) for path in sorted(folder.parent.glob("*")) if path.is_dir()]
        raise ConfigError(f"there is no run folder {folder}.{did_you_mean(folder, beside)}")
    if config_file is None and not (folder / "config.yaml").is_file():
        raise ConfigError(
            f"{folder} has no config.yaml, so it is not known what was evaluated there: name the config by --config-file FILE."
        )
    return load_config(config_file or folder / "config.yaml", overrides)


def _dataset_name(cfg: CfgNode, wanted: str | None, folder: Path) -> str:
    names = list(cfg.DATASETS.TEST)
    if wanted is None and len(names) == 1:
        return str(names[0])
    if wanted is None:
        raise ConfigError(f"{folder}: DATASETS.TEST has {listed(names)}: choose one by --dataset NAME.")
    if wanted not in names:
        raise ConfigError(
            f"--dataset {wanted}: {folder} was not evaluated on it.{did_you_mean(wanted, names)} Its DATASETS.TEST has: "
            f"{listed(names)}."
        )
    return wanted


def _dataset(cfg: CfgNode, name: str, folder: Path) -> DetectionDataset:
    from dettoolkit.data import build_dataset
    from dettoolkit.data.datasets.paths import AbsentError

    try:
        return build_dataset(cfg, name)
    except DataError as error:
        absent = isinstance(error.__cause__, AbsentError)
        advice = " Go to the folder that the run was started in, or add DATASETS.ROOT FOLDER." if absent else ""
        raise DataError(f"{folder}: the ground truth of {name} cannot be read: {error}{advice}") from error


def evaluated_images(dataset: DetectionDataset, found: Mapping[Any, Detections], path: Path) -> list[EvaluatedImage]:
    """Return each image of a data set with its ground truth and what was found in it; no picture is read.

    Args:
        dataset: the ground truth.
        found: detections by image id; an image without any may be missing.
        path: where they come from, for the message.

    Raises:
        EvaluationError: there are detections of images that the data set does not have.
    """
    import torch

    from dettoolkit.structures import Annotations, Detections, EvaluatedImage

    unknown = found.keys() - {record.image_id for record in dataset.records}
    if unknown:
        raise EvaluationError(
            f"{path} has detections of {len(unknown)} images that {dataset.info.name} does not have "
            f"({listed(sorted(map(repr, unknown)), limit=5)}): it was made on other data."
        )
    images = []
    for record in dataset.records:
        boxes, labels, ignore = (torch.from_numpy(array) for array in (record.boxes, record.labels, record.ignore))
        truth = Annotations(boxes, labels, ignore)
        detections = found.get(record.image_id, Detections.empty())
        images.append(EvaluatedImage(record.image_id, record.file_name, (record.height, record.width), truth, detections))
    return images


def _max_detections(cfg: CfgNode) -> int:
    limits = [node["MAX_DETECTIONS"][-1] for node in cfg.EVALUATION.EVALUATORS if "MAX_DETECTIONS" in node]
    return int(limits[0]) if limits else 100


def check_same_images(first: StoredRun, second: StoredRun) -> None:
    """Compare the ground truth of two runs: a difference of AP means something on the same images only.

    Raises:
        DataError: classes differ.
        EvaluationError: images differ (named), or their boxes.
    """
    from dettoolkit.data import check_same_classes

    check_same_classes(first.info, second.info)
    for here, there in ((first, second), (second, first)):
        other = {image.image_id for image in there.images}
        missing = [repr(image.image_id) for image in here.images if image.image_id not in other]
        if missing:
            raise EvaluationError(
                f"{first.folder} and {second.folder} were evaluated on different images: {len(missing)} of those of "
                f"{here.folder} are not in the {there.info.name} of {there.folder}: {listed(missing, limit=5)}."
            )
    boxes = [{image.image_id: image.ground_truth for image in run.images} for run in (first, second)]
    changed = [repr(name) for name, truth in boxes[0].items() if not _same(truth, boxes[1][name])]
    if changed:
        raise EvaluationError(
            f"{first.folder} and {second.folder} have the same images with different boxes, {len(changed)} of them: "
            f"{listed(changed, limit=5)}. Evaluate both again with the same annotations."
        )


def _same(first: Any, second: Any) -> bool:
    import torch

    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in ("boxes", "labels", "ignore"))
