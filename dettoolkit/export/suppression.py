"""NMS inside of an exported graph: boxes of a whole batch -> which are kept, in a tensor of the same places.

Boxes of different classes and images must not meet. Shifting them apart in float32, as torchvision does for few boxes, costs
fractions of a pixel, which is why it is done in float64 here, or by the operator of ONNX, which has a dimension for classes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision import ops

from dettoolkit.errors import ConfigError
from dettoolkit.export.decoding import KeepBest
from dettoolkit.modeling.dense import DenseDecoder
from dettoolkit.modeling.dense.nms import BatchedNMS, ClassAgnosticNMS

_NOTHING_BELOW = -0.5  # scores are 0 to 1, or -1 for a place without a box


def in_torch(decoder: DenseDecoder, num_classes: int) -> KeepBest:
    """Return the NMS of a decoder, made of operators that ``torch.export`` writes down.

    Raises:
        ConfigError: the NMS is a component that this cannot be said of.
    """
    return partial(_keep_in_torch, num_groups=_num_groups(decoder, num_classes), iou_threshold=decoder.nms.iou_threshold)


def in_onnx(decoder: DenseDecoder, num_classes: int) -> KeepBest:
    """Return the NMS of a decoder, as one operator that :func:`onnx_translation` knows the ONNX of.

    Raises:
        ConfigError: the NMS is a component that this cannot be said of.
    """
    groups, threshold = _num_groups(decoder, num_classes), decoder.nms.iou_threshold
    return lambda boxes, scores, labels: keep_best(boxes, scores, labels, groups, threshold, decoder.max_detections)


def _num_groups(decoder: DenseDecoder, num_classes: int) -> int:
    """Return how many groups of boxes a decoder's NMS keeps apart."""
    kinds = {BatchedNMS: num_classes, ClassAgnosticNMS: 1}
    if type(decoder.nms) not in kinds:
        raise ConfigError(
            f"MODEL.DECODER.NMS: {type(decoder.nms).__name__} cannot be put into an exported file, BatchedNMS and "
            "ClassAgnosticNMS can. With --nms outside it is run by whoever runs the file, as Predictor does."
        )
    return kinds[type(decoder.nms)]


def _keep_in_torch(boxes: Tensor, scores: Tensor, labels: Tensor, num_groups: int, iou_threshold: float) -> Tensor:
    """Return ``[N, M]`` bool, which of ``boxes [N, M, 4]`` are kept."""
    exact = boxes.double()
    extent = exact.amax() - exact.amin() + 1
    images = torch.arange(boxes.shape[0], device=boxes.device)[:, None]
    groups = images * num_groups + (labels if num_groups > 1 else 0)
    apart = exact + (groups * extent)[..., None]
    kept = ops.nms(apart.flatten(0, 1), scores.flatten().double(), iou_threshold)
    return torch.zeros_like(scores, dtype=torch.bool).flatten().index_fill(0, kept, True).view_as(scores)


@torch.library.custom_op("dettoolkit::keep_best", mutates_args=())
def keep_best(
    boxes: Tensor, scores: Tensor, labels: Tensor, num_groups: int, iou_threshold: float, max_in_group: int
) -> Tensor:
    """Return ``[N, M]`` bool, which of ``boxes [N, M, 4]`` NMS keeps.

    Args:
        boxes: xyxy.
        scores: ``[N, M]``; below 0: no box.
        labels: ``[N, M]`` int64.
        num_groups: K where classes are kept apart, 1 where not.
        iou_threshold: boxes that overlap a better one by more than it are not kept.
        max_in_group: at most this many of a group of an image are kept.
    """
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for image, (these, points, classes) in enumerate(zip(boxes, scores, labels, strict=True)):
        for group in range(num_groups):
            chosen = torch.nonzero((points >= 0) & ((classes == group) | (num_groups == 1))).flatten()
            best = ops.nms(these[chosen], points[chosen], iou_threshold)[:max_in_group]
            kept[image, chosen[best]] = True
    return kept


@keep_best.register_fake
def _(boxes: Tensor, scores: Tensor, labels: Tensor, num_groups: int, iou_threshold: float, max_in_group: int) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def onnx_translation() -> dict[Any, Any]:
    """Return what ``torch.onnx.export`` is to put in the place of :func:`keep_best`: ONNX's NonMaxSuppression."""
    from onnxscript import opset18

    op: Any = opset18  # its types are those of eager values

    def translated(boxes: Any, scores: Any, labels: Any, num_groups: int, iou_threshold: float, max_in_group: int) -> Any:
        by_group = op.Unsqueeze(scores, [1])  # [N, 1, M]
        if num_groups > 1:
            groups = op.Constant(value_ints=list(range(num_groups)))
            is_of_group = op.Equal(op.Unsqueeze(labels, [1]), op.Unsqueeze(groups, [0, 2]))  # [N, K, M]
            by_group = op.Where(is_of_group, by_group, op.Constant(value_float=-1.0))
        # [S, 3]: image, group and place of what is kept
        kept = op.NonMaxSuppression(boxes, by_group, [max_in_group], [iou_threshold], [_NOTHING_BELOW])
        places = op.Gather(kept, [0, 2], axis=1)
        ones = op.Expand(op.Constant(value_float=1.0), op.Slice(op.Shape(kept), [0], [1]))
        nothing = op.Expand(op.Constant(value_float=0.0), op.Shape(scores))
        return op.Cast(op.ScatterND(nothing, places, ones), to=9)  # 9: bool

    return {torch.ops.dettoolkit.keep_best.default: translated}
