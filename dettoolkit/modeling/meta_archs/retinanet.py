"""RetinaNet: the architecture on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from fvcore.common.config import CfgNode
from torch import Tensor, nn

from dettoolkit.errors import ConfigError
from dettoolkit.modeling.dense import NORMALIZERS, DenseCriterion, DenseDecoder, InputNormalization
from dettoolkit.registry import (
    ANCHORS,
    BACKBONES,
    BOX_CODERS,
    HEADS,
    LOSSES,
    MATCHERS,
    META_ARCHS,
    MINERS,
    NECKS,
    Component,
    ListOf,
    Plain,
    Section,
    Value,
)
from dettoolkit.registry.schema import build_node
from dettoolkit.structures import Annotations, DensePredictions, Detections, LossOutput


@META_ARCHS.register()
class RetinaNet(nn.Module):
    """A one-stage dense detector (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017).

    ``images -> backbone -> neck -> head -> DensePredictions -> criterion -> LossOutput``, or ``-> decoder -> Detections``.

    Args:
        normalization: pixels -> what the network was trained on.
        backbone: images -> maps by level.
        neck: maps by level -> pyramid.
        head: pyramid -> dense predictions.
        anchors: map sizes -> boxes by level.
        criterion: predictions and targets -> losses.
        decoder: predictions -> detections.
    """

    PARTS = {  # noqa: RUF012
        "INPUT": Plain(InputNormalization, doc="What becomes of the pixels before the network."),
        "BACKBONE": Component(BACKBONES, {"NAME": "ResNet"}, doc="Images -> maps C2..C5."),
        "NECK": Component(NECKS, {"NAME": "FPN"}, ("in_channels", "in_strides"), "Maps -> pyramid."),
        "ANCHORS": Component(ANCHORS, {"NAME": "GridAnchors"}, ("strides",), "Where boxes are looked for."),
        "HEAD": Component(
            HEADS,
            {"NAME": "RetinaNetHead"},
            ("in_channels", "num_anchors", "num_classes", "num_levels"),
            "Pyramid -> predictions.",
        ),
        "BOX_CODER": Component(BOX_CODERS, {"NAME": "DeltaXYWHCoder"}, doc="Boxes <-> deltas of anchors."),
        "MATCHER": Component(MATCHERS, {"NAME": "MaxIoUMatcher"}, doc="Which box an anchor stands for."),
        "MINER": Component(MINERS, {"NAME": "AllExamples"}, doc="Which examples count in the classification loss."),
        "LOSSES": Section(
            {
                "CLASSIFICATION": Component(LOSSES, {"NAME": "FocalLoss"}, ("num_classes",), "Loss of the class scores."),
                "REGRESSION": ListOf(
                    Component(LOSSES), ({"NAME": "SmoothL1Loss"},), or_one=True, doc="Loss, or losses, of the boxes."
                ),
            },
            doc="What is minimised.",
        ),
        "LOSS_WEIGHTS": Section(
            {
                "CLASSIFICATION": Value(float, 1.0, "Factor of the classification loss."),
                "REGRESSION": Value(float | list[float], 1.0, "Factor of the box loss; a list where there are several."),
            },
            doc="Factors of the losses.",
        ),
        "NORMALIZER": Value(
            Literal["world_average", "per_image", "moving_average"],
            "world_average",
            "What losses are divided by: the positives of all processes, those of each image (the paper), "
            "or Detectron2's moving average.",
        ),
        "DECODER": Plain(DenseDecoder, ("coder",), doc="Predictions -> detections."),
    }

    def __init__(
        self,
        normalization: InputNormalization,
        backbone: nn.Module,
        neck: Any,
        head: nn.Module,
        anchors: Any,
        criterion: DenseCriterion,
        decoder: DenseDecoder,
    ) -> None:
        super().__init__()
        self.normalization = normalization
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.anchors = anchors
        self.criterion = criterion
        self.decoder = decoder
        self.size_divisibility = int(getattr(neck, "size_divisibility", max(neck.strides)))

    @classmethod
    def from_config(cls, cfg: CfgNode) -> RetinaNet:
        """Build the parts in the order in which the data meets them; each gets what it must know of those before it.

        Raises:
            ConfigError: a part cannot be built, or two do not fit together.
        """
        model = cfg.MODEL
        if model.NUM_CLASSES == "auto":
            raise ConfigError(
                "MODEL.NUM_CLASSES is auto: training takes it from the data set; here, pass the number of classes."
            )
        normalization = build_node(InputNormalization, model.INPUT, "MODEL.INPUT")
        backbone = BACKBONES.build(_with_channels(model.BACKBONE, normalization.num_channels), "MODEL.BACKBONE")
        if getattr(backbone, "in_channels", normalization.num_channels) != normalization.num_channels:
            raise ConfigError(
                f"MODEL.BACKBONE.IN_CHANNELS is {backbone.in_channels}, "
                f"MODEL.INPUT.PIXEL_MEAN has {normalization.num_channels} entries"
            )
        neck = NECKS.build(model.NECK, "MODEL.NECK", in_channels=backbone.channels, in_strides=backbone.strides)
        anchors = ANCHORS.build(model.ANCHORS, "MODEL.ANCHORS", strides=neck.strides)
        wired = {"num_anchors": anchors.num_anchors, "num_classes": model.NUM_CLASSES, "num_levels": len(neck.strides)}
        head = HEADS.build(model.HEAD, "MODEL.HEAD", in_channels=neck.channels, **wired)
        coder = BOX_CODERS.build(model.BOX_CODER, "MODEL.BOX_CODER")
        box_losses = _box_losses(model.LOSSES.REGRESSION)
        criterion = DenseCriterion(
            MATCHERS.build(model.MATCHER, "MODEL.MATCHER"),
            MINERS.build(model.MINER, "MODEL.MINER"),
            coder,
            LOSSES.build(model.LOSSES.CLASSIFICATION, "MODEL.LOSSES.CLASSIFICATION", num_classes=model.NUM_CLASSES),
            box_losses,
            {"loss_cls": model.LOSS_WEIGHTS.CLASSIFICATION, **_box_weights(list(box_losses), model.LOSS_WEIGHTS.REGRESSION)},
            NORMALIZERS[model.NORMALIZER](),
        )
        decoder = build_node(DenseDecoder, model.DECODER, "MODEL.DECODER", coder=coder)
        return cls(normalization, backbone, neck, head, anchors, criterion, decoder)

    def predictions(self, images: Tensor, image_sizes: Sequence[tuple[int, int]]) -> DensePredictions:
        """Run the network.

        Args:
            images: ``[N, C, H, W]`` uint8 or float in 0..255, RGB.
            image_sizes: (height, width) of each image before padding.
        """
        return self.network(self.normalization(images, image_sizes))

    def network(self, x: Tensor) -> DensePredictions:
        """Run backbone, neck and head on normalised images ``[N, C, H, W]``: what is compiled where that is asked for."""
        return self.head(self.neck(self.backbone(x)))

    def losses(self, predictions: DensePredictions, targets: Sequence[Annotations]) -> LossOutput:
        """Return the losses of predictions; in eval mode local sums, see :class:`DenseCriterion`."""
        return self.criterion(predictions, self._anchors(predictions), targets)

    def detections(self, predictions: DensePredictions, image_sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Return what predictions say, in the pixels of the batch."""
        return self.decoder(predictions, self._anchors(predictions), image_sizes)

    @overload
    def forward(self, images: Tensor, image_sizes: Sequence[tuple[int, int]], targets: Sequence[Annotations]) -> LossOutput: ...

    @overload
    def forward(self, images: Tensor, image_sizes: Sequence[tuple[int, int]], targets: None = None) -> list[Detections]: ...

    def forward(
        self, images: Tensor, image_sizes: Sequence[tuple[int, int]], targets: Sequence[Annotations] | None = None
    ) -> LossOutput | list[Detections]:
        """Return losses where targets are given and detections where not, in either mode.

        Args:
            images: ``[N, C, H, W]`` uint8 or float in 0..255, RGB.
            image_sizes: (height, width) of each image before padding.
            targets: the ground truth of each image, in the pixels of ``images``.
        """
        predictions = self.predictions(images, image_sizes)
        return self.detections(predictions, image_sizes) if targets is None else self.losses(predictions, targets)

    def _anchors(self, predictions: DensePredictions) -> list[Tensor]:
        return self.anchors(predictions.map_sizes, predictions.logits[0].device)


def _with_channels(node: Mapping[str, Any], num_channels: int) -> dict[str, Any]:
    """Return the node of a backbone; where its ``IN_CHANNELS`` is null, the images say how many there are."""
    return {key: num_channels if key == "IN_CHANNELS" and value is None else value for key, value in node.items()}


def _box_losses(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the losses by name: ``loss_box`` is the first, ``loss_box_<class>`` a further one."""
    losses: dict[str, Any] = {}
    for index, node in enumerate(nodes):
        path = f"MODEL.LOSSES.REGRESSION.{index}"
        loss = LOSSES.build(node, path)
        name = f"loss_box_{type(loss).__name__}" if index else "loss_box"
        if name in losses:
            raise ConfigError(f"{path}: a second {type(loss).__name__} would have the name {name} of the first")
        losses[name] = loss
    if not losses:
        raise ConfigError("MODEL.LOSSES.REGRESSION expects a loss or a list of losses, got an empty list")
    return losses


def _box_weights(names: Sequence[str], weights: float | Sequence[float]) -> dict[str, float]:
    each = [weights] * len(names) if isinstance(weights, (int, float)) else list(weights)
    if len(each) != len(names):
        raise ConfigError(f"MODEL.LOSS_WEIGHTS.REGRESSION has {len(each)} factors for {len(names)} box losses")
    return dict(zip(names, each, strict=True))
