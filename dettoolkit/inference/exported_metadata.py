"""What an exported file says of itself: plain JSON, written by an export and checked like a config when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge
from fvcore.common.config import CfgNode

from dettoolkit import __version__
from dettoolkit.config import RUN_SCHEMA
from dettoolkit.config.check import Checker
from dettoolkit.config.yaml_reader import parse, plain
from dettoolkit.errors import CheckpointError, ConfigError, shown
from dettoolkit.modeling.dense import DenseDecoder
from dettoolkit.registry import Plain, Section, Value
from dettoolkit.registry.schema import Problems
from dettoolkit.structures import DatasetInfo, ScoreThresholds

ENTRY = "dettoolkit.json"  # the name of the text in a file of ONNX or torch.export
_FORM = 1  # what a later version adds without changing the meaning of what is there does not raise it

_DATASETS: Any = RUN_SCHEMA.keys["DATASETS"]
_SCHEMA = Section(
    {
        "form": Value(Literal[1], None, "Version of this description."),
        "dettoolkit": Value(str, "", "Version that wrote the file."),
        "precision": Value(Literal["fp32"], None, "What the graph computes in."),
        "nms": Value(Literal["inside", "outside"], None, "Whether the graph removes duplicates."),
        "size_divisibility": Value(Annotated[int, Ge(1)], None, "Height and width of images are multiples of it."),
        "input": Value(str, "", "What the graph takes, for people."),
        "class_names": Value(list[str], None, "Names of the labels 0..K-1."),
        "category_ids": Value(list[int], None, "Ids of the labels in annotation files."),
        "dataset": Value(str, "", "Name of the data set."),
        "score_thresholds": Value(list[float] | None, None, "From which score on to report a label; null: from none."),
        "score_thresholds_from": Value(list[str], ["", ""], "The wish that they were chosen for, and the data set."),
        "TEST_TRANSFORMS": _DATASETS.keys["TEST_TRANSFORMS"],
        "TEST_VIEWS": _DATASETS.keys["TEST_VIEWS"],
        "DECODER": Plain(DenseDecoder, ("coder",), doc="Scores and boxes -> detections."),
    },
    doc="An exported detector.",
)


@dataclass(frozen=True)
class ExportedMetadata:
    """What is needed besides the graph to predict with it.

    Args:
        info: the classes.
        cfg: with ``DATASETS.TEST_TRANSFORMS``, ``DATASETS.TEST_VIEWS`` and ``MODEL.DECODER``.
        nms: whether the graph removes duplicates.
        size_divisibility: height and width of the batches that it takes are multiples of it.
        score_thresholds: from which score on to report detections of a class, for whoever predicts; the graph knows nothing of
            them.
    """

    info: DatasetInfo
    cfg: CfgNode
    nms: Literal["inside", "outside"]
    size_divisibility: int
    score_thresholds: ScoreThresholds | None = None

    def to_json(self) -> str:
        """Return the text that travels in the file."""
        size = self.size_divisibility
        thresholds, names = self.score_thresholds, self.info.class_names
        data = {
            "form": _FORM,
            "dettoolkit": __version__,
            "precision": "fp32",
            "nms": self.nms,
            "size_divisibility": size,
            "input": f"images [N, C, H, W] uint8 RGB, H and W multiples of {size}, padded at the right and bottom; "
            "image_sizes [N, 2] int64 (height, width) before padding",
            "class_names": list(names),
            "category_ids": list(self.info.category_ids),
            "dataset": self.info.name,
            "score_thresholds": None if thresholds is None else thresholds.of_labels(names).tolist(),
            "score_thresholds_from": ["", ""] if thresholds is None else [thresholds.wish, thresholds.dataset],
            "TEST_TRANSFORMS": plain(self.cfg.DATASETS.TEST_TRANSFORMS),
            "TEST_VIEWS": plain(self.cfg.DATASETS.TEST_VIEWS),
            "DECODER": plain(self.cfg.MODEL.DECODER),
        }
        return json.dumps(data, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str, source: str) -> ExportedMetadata:
        """Return what :meth:`to_json` wrote.

        Nothing in the text is imported or run; components that it names must be registered.

        Args:
            text: from the file.
            source: the file, for messages.

        Raises:
            CheckpointError: the text is something else, or names what there is not.
        """
        try:
            given, _ = parse(text, "its description")  # JSON is YAML, and this reader bounds depth and size
            if not isinstance(given, Mapping):
                raise ConfigError(f"expected a mapping, got {shown(given)}.")
            data = _checked(given)
            info = DatasetInfo(data["dataset"], tuple(data["class_names"]), tuple(data["category_ids"]))
            cfg = CfgNode(plain(_config(data)))
            thresholds = _thresholds(data, info)
        except ValueError as error:  # ConfigError is one
            raise CheckpointError(f"{source}: what the file says of itself cannot be used: {error}") from error
        return cls(info, cfg, data["nms"], data["size_divisibility"], thresholds)


def _thresholds(data: Mapping[str, Any], info: DatasetInfo) -> ScoreThresholds | None:
    values, origin = data["score_thresholds"], data["score_thresholds_from"]
    if values is None:
        return None
    if len(values) != info.num_classes or len(origin) != 2:
        raise ConfigError(f"score_thresholds: expected one for each of {info.num_classes} classes, got {len(values)}.")
    return ScoreThresholds(dict(zip(info.class_names, values, strict=True)), *origin)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    problems = Problems()
    for key in ("form", "precision", "nms", "size_divisibility", "class_names", "category_ids"):
        if key not in given:
            problems.add(key, "is required and missing.")
    data = Checker(problems).node(_SCHEMA, given, "")
    if problems.rows:
        raise ConfigError("\n" + "\n".join(f"  {key}: {what}" for key, what in problems.rows))
    return data


def _config(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that a predictor looks at."""
    return {
        "MODEL": {"DECODER": data["DECODER"], "CHANNELS_LAST": False},
        "DATASETS": {key: data[key] for key in ("TEST_TRANSFORMS", "TEST_VIEWS")},
        "SOLVER": {"AMP": "none"},
    }
