"""What weights expect of the pixels.

It is not in the tensors of the network, and with other pixels there is no error: the AP is low, and that is all.
"""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from dettoolkit.checkpoint.weight_source import WeightSource

logger = logging.getLogger(__name__)

_OF_RGB = ("torchvision", "dettoolkit")  # authors of Detectron2's kind of file whose weights need not be of BGR
_ADVICE = {
    "caffe2": (
        "the weights of MSRA and FAIR are of BGR images: MODEL.INPUT.CHANNEL_ORDER BGR, PIXEL_MEAN [103.53, 116.28, 123.675]; "
        "MSRA's R-50 and R-101 with PIXEL_STD [1, 1, 1] and MODEL.BACKBONE.STRIDE_IN_1X1 true, "
        "FAIR's X-101-32x8d with PIXEL_STD [57.375, 57.12, 58.395]"
    ),
    "detectron2": (
        "Detectron2's weights are of BGR images unless its INPUT.FORMAT was RGB: MODEL.INPUT.CHANNEL_ORDER BGR, "
        "and PIXEL_MEAN, PIXEL_STD and MODEL.BACKBONE.STRIDE_IN_1X1 as its config has them"
    ),
}


def warn_of_other_input(weights: WeightSource, model: nn.Module) -> None:
    """Log a warning where weights are, or are likely to be, of other pixels than the model gets.

    Args:
        weights: as they were in the file.
        model: with a ``normalization`` that has ``channel_order``, ``mean`` and ``std``; others are not looked at.
    """
    normalization: Any = getattr(model, "normalization", None)
    if not {"channel_order", "mean", "std"} <= set(dir(normalization)):
        return
    if "pixel_mean" in weights.state and "pixel_std" in weights.state:
        theirs = [_numbers(weights.state[name]) for name in ("pixel_mean", "pixel_std")]
        ours = [_numbers(value) for value in (normalization.mean, normalization.std)]
        if theirs != ours:
            logger.warning(
                "%s (%s): trained with MODEL.INPUT.PIXEL_MEAN %s and PIXEL_STD %s; the model has %s and %s",
                *(weights.name, weights.kind, *theirs, *ours),
            )
    elif weights.format in _ADVICE and weights.author not in _OF_RGB and normalization.channel_order == "RGB":
        logger.warning("%s (%s): the model gets RGB images, %s", weights.name, weights.kind, _ADVICE[weights.format])


def _numbers(value: Any) -> list[float]:
    return [round(number, 3) for number in value.flatten().tolist()]
