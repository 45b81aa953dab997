"""RetinaNet as a whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torchvision.ops import box_iou

from dettoolkit.errors import ConfigError
from dettoolkit.modeling import build_model
from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.backbones import ResNet
from dettoolkit.modeling.box_coders import DeltaXYWHCoder
from dettoolkit.modeling.dense import DenseCriterion, DenseDecoder, InputNormalization
from dettoolkit.modeling.dense.nms import BatchedNMS
from dettoolkit.modeling.dense.normalizer import WorldAverage
from dettoolkit.modeling.heads import RetinaNetHead
from dettoolkit.modeling.losses import FocalLoss, SmoothL1Loss
from dettoolkit.modeling.matchers import MaxIoUMatcher
from dettoolkit.modeling.meta_archs import RetinaNet
from dettoolkit.modeling.miners import AllExamples
from dettoolkit.modeling.necks import FPN
from dettoolkit.structures import Annotations, DensePredictions, Detections, LossOutput

ModelConfig = Callable[..., CfgNode]
SIZE = (96, 64)


def pictures(count: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)


def truth(*boxes: list[float], labels: list[int]) -> Annotations:
    return Annotations(torch.tensor(boxes), torch.tensor(labels), torch.zeros(len(boxes), dtype=torch.bool))


def two_targets() -> list[Annotations]:
    return [truth([5.0, 8.0, 40.0, 50.0], [30.0, 10.0, 60.0, 80.0], labels=[0, 2]), Annotations.empty()]


def assert_close(ours: DensePredictions, wanted: DensePredictions, atol: float = 1e-4) -> None:
    assert list(ours.map_sizes) == list(wanted.map_sizes)
    for x, y in zip(ours.logits + ours.deltas, wanted.logits + wanted.deltas, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=atol)


def loud(model: nn.Module) -> nn.Module:
    """Return the model in eval mode with a head whose outputs differ from each other, as after training."""
    for convolution in (model.head.classification, model.head.box):
        nn.init.normal_(convolution.weight, std=0.3)
    return model.eval()


@pytest.fixture(scope="module")
def fresh_model(model_config: ModelConfig) -> RetinaNet:
    return build_model(model_config())


@pytest.fixture
def model(fresh_model: RetinaNet) -> RetinaNet:
    return copy.deepcopy(fresh_model)  # a tenth of the time that drawing the weights takes


def test_a_config_becomes_a_detector_whose_parts_fit(model: RetinaNet) -> None:
    predictions = model.eval().predictions(pictures(), [SIZE] * 2)
    assert predictions.map_sizes == [(12, 8), (6, 4), (3, 2), (2, 1), (1, 1)]
    for (height, width), logits, deltas in zip(predictions.map_sizes, predictions.logits, predictions.deltas, strict=True):
        assert logits.shape == (2, height * width * 9, 3)
        assert deltas.shape == (2, height * width * 9, 4)
    anchors = model.anchors(predictions.map_sizes, "cpu")
    assert [len(boxes) for boxes in anchors] == [level.shape[1] for level in predictions.logits]
    assert model.size_divisibility == 32


@pytest.mark.parametrize("training", [True, False])
def test_targets_decide_between_losses_and_detections(model: RetinaNet, training: bool) -> None:
    model.train(training)
    output = model(pictures(), [SIZE] * 2, two_targets())
    assert isinstance(output, LossOutput)
    assert set(output.losses) == {"loss_cls", "loss_box"}
    assert output.total.isfinite()
    assert output.total.requires_grad
    detections = model(pictures(), [SIZE] * 2)
    assert len(detections) == 2
    assert all(isinstance(found, Detections) for found in detections)


def test_one_run_of_the_network_serves_losses_and_detections(model: RetinaNet) -> None:
    loud(model)
    images, targets = pictures(), two_targets()
    predictions = model.predictions(images, [SIZE] * 2)
    ours, expected = model.losses(predictions, targets), model(images, [SIZE] * 2, targets)
    for name, loss in expected.losses.items():
        torch.testing.assert_close(ours.losses[name], loss)
    for found, wanted in zip(model.detections(predictions, [SIZE] * 2), model(images, [SIZE] * 2), strict=True):
        assert len(found) > 0
        assert found.boxes.equal(wanted.boxes)


def test_every_parameter_gets_a_gradient_from_images_with_objects(model: RetinaNet) -> None:
    model(pictures(), [SIZE] * 2, two_targets()).total.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_every_parameter_gets_a_gradient_from_images_without_objects(model: RetinaNet) -> None:
    model(pictures(), [SIZE] * 2, [Annotations.empty()] * 2).total.backward()  # DDP waits for each of them
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_bytes_and_floats_are_the_same_image(model: RetinaNet) -> None:
    images = pictures()
    assert_close(loud(model).predictions(images, [SIZE] * 2), model.predictions(images.float(), [SIZE] * 2), atol=0)


@torch.no_grad()
def test_channels_last_gives_the_same_numbers(model: RetinaNet) -> None:
    images = pictures()
    expected = loud(model).predictions(images, [SIZE] * 2)
    model.to(memory_format=torch.channels_last)
    assert_close(model.predictions(images.to(memory_format=torch.channels_last), [SIZE] * 2), expected, atol=1e-3)


@torch.no_grad()
def test_weights_of_bgr_see_bgr(model_config: ModelConfig) -> None:
    rgb = loud(build_model(model_config(INPUT={"PIXEL_MEAN": [1, 2, 3], "PIXEL_STD": [50, 60, 70]})))
    bgr = build_model(model_config(INPUT={"CHANNEL_ORDER": "BGR", "PIXEL_MEAN": [3, 2, 1], "PIXEL_STD": [70, 60, 50]}))
    bgr.load_state_dict(rgb.state_dict())
    bgr.backbone.conv1.weight.copy_(rgb.backbone.conv1.weight.flip(1))
    images = pictures()
    assert_close(bgr.eval().predictions(images, [SIZE] * 2), rgb.predictions(images, [SIZE] * 2), atol=1e-3)


@torch.no_grad()
def test_what_the_padding_held_does_not_matter(model: RetinaNet) -> None:
    size, images = (70, 50), pictures()
    blank = torch.zeros_like(images)
    blank[:, :, :70, :50] = images[:, :, :70, :50]
    assert_close(loud(model).predictions(images, [size] * 2), model.predictions(blank, [size] * 2), atol=0)


@torch.no_grad()
def test_the_other_images_of_a_batch_do_not_matter(model: RetinaNet) -> None:
    images, sizes = pictures(3), [SIZE, (70, 50), (40, 64)]
    together = loud(model).predictions(images, sizes)
    for index, size in enumerate(sizes):
        alone = model.predictions(images[index : index + 1], [size])
        mine = DensePredictions(
            [level[index : index + 1] for level in together.logits],
            [level[index : index + 1] for level in together.deltas],
            together.map_sizes,
        )
        assert_close(alone, mine, atol=1e-3)


class Patches(nn.Module):
    """A backbone that sees one cell of 8 pixels at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.strides = {"C3": 16}, {"C3": 8}
        self.cells = nn.Conv2d(3, 16, 8, stride=8)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"C3": self.cells(images)}


def of_patches() -> RetinaNet:
    """Return a detector of one level, assembled without a config, that sees two cells around each location."""
    backbone, coder = Patches(), DeltaXYWHCoder()
    neck = FPN(backbone.channels, backbone.strides, 16, (3, 3))
    anchors = GridAnchors(neck.strides)
    head = RetinaNetHead(neck.channels, anchors.num_anchors, 2, len(neck.strides), num_convs=0)
    criterion = DenseCriterion(
        MaxIoUMatcher(), AllExamples(), coder, FocalLoss(), {"loss_box": SmoothL1Loss()}, {}, WorldAverage()
    )
    return RetinaNet(InputNormalization(), backbone, neck, head, anchors, criterion, DenseDecoder(coder, BatchedNMS()))


@torch.no_grad()
def test_an_image_in_a_larger_batch_is_seen_as_alone() -> None:
    detector = loud(of_patches())
    image = pictures(1, (64, 48))
    padded = pictures(2, (96, 112))
    padded[0, :, :64, :48] = image[0]
    alone = detector.predictions(image, [(64, 48)])
    together = detector.predictions(padded, [(64, 48), (96, 112)])
    # 8 x 6 cells; those at the right and lower edge see two cells of padding, which convolutions have filled
    for mine, whole, size in ((alone.logits, together.logits, 2), (alone.deltas, together.deltas, 4)):
        mine_by_cell, whole_by_cell = mine[0].view(1, 8, 6, 9 * size), whole[0].view(2, 12, 14, 9 * size)
        torch.testing.assert_close(whole_by_cell[:1, :6, :4], mine_by_cell[:, :6, :4], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_detections_stay_inside_their_image() -> None:
    detector = loud(of_patches())
    for found, (height, width) in zip(detector(pictures(2), [(40, 30), SIZE]), [(40, 30), SIZE], strict=True):
        assert len(found) > 0
        assert found.boxes.min() >= 0
        assert (found.boxes.amax(0) <= torch.tensor([width, height, width, height])).all()


def test_a_detector_from_parts_trains() -> None:
    detector = of_patches()
    detector(pictures(1), [SIZE], [truth([8.0, 8.0, 40.0, 40.0], labels=[1])]).total.backward()
    assert detector.backbone.cells.weight.grad.abs().sum() > 0


def test_one_small_image_is_learned_by_heart(model_config: ModelConfig) -> None:
    backbone, neck = {"NAME": "ResNet", "DEPTH": 18, "NORM": "GN"}, {"NAME": "FPN", "OUT_CHANNELS": 32, "LEVELS": [3, 5]}
    model = build_model(model_config(BACKBONE=backbone, NECK=neck))
    image = torch.full((1, 3, 64, 64), 90, dtype=torch.uint8)
    image[0, 0, 8:40, 6:30], image[0, 2, 20:60, 36:60] = 250, 250
    target = truth([6.0, 8.0, 30.0, 40.0], [36.0, 20.0, 60.0, 60.0], labels=[0, 2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        loss = model(image, [(64, 64)], [target]).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
    (found,) = model.eval()(image, [(64, 64)])
    for box, label in zip(target.boxes, target.labels, strict=True):
        best = found[found.labels == label][:1]
        assert box_iou(best.boxes, box[None]).item() > 0.7


def test_training_goes_on_after_an_evaluation_in_inference_mode(model: RetinaNet) -> None:
    with torch.inference_mode():
        model.eval()(pictures(), [SIZE] * 2, two_targets())
    model.train()(pictures(), [SIZE] * 2, two_targets()).total.backward()  # with the anchors that were cached there
    assert model.head.box.weight.grad is not None


@pytest.mark.parametrize("regression", [{"NAME": "GIoULoss"}, [{"NAME": "SmoothL1Loss"}, {"NAME": "CIoULoss"}]])
@pytest.mark.parametrize("normalizer", ["world_average", "per_image", "moving_average"])
def test_losses_and_normalizer_are_chosen_in_the_config(model_config: ModelConfig, regression: Any, normalizer: str) -> None:
    losses = {"CLASSIFICATION": {"NAME": "CrossEntropyLoss"}, "REGRESSION": regression}
    weights = {"CLASSIFICATION": 2.0, "REGRESSION": 0.5}
    model = build_model(model_config(LOSSES=losses, NORMALIZER=normalizer, LOSS_WEIGHTS=weights))
    names = ["loss_cls", "loss_box"] + (["loss_box_CIoULoss"] if isinstance(regression, list) else [])
    output = model(pictures(), [SIZE] * 2, two_targets())
    assert list(output.losses) == names
    assert output.total.isfinite()
    assert model.criterion.loss_weights == dict(zip(names, [2.0, 0.5, 0.5], strict=False))
    assert ("criterion.normalizer.average" in model.state_dict()) == (normalizer == "moving_average")


def test_factors_of_box_losses_may_be_listed(model_config: ModelConfig) -> None:
    losses = {"REGRESSION": [{"NAME": "L1Loss"}, {"NAME": "GIoULoss"}]}
    model = build_model(model_config(LOSSES=losses, LOSS_WEIGHTS={"REGRESSION": [1.0, 3.0]}))
    assert model.criterion.loss_weights == {"loss_cls": 1.0, "loss_box": 1.0, "loss_box_GIoULoss": 3.0}
    with pytest.raises(ConfigError, match=r"MODEL\.LOSS_WEIGHTS\.REGRESSION has 1 factors for 2 box losses"):
        build_model(model_config(LOSSES=losses, LOSS_WEIGHTS={"REGRESSION": [1.0]}))


def test_weights_are_named_but_not_read(model_config: ModelConfig) -> None:
    backbone = {"NAME": "ResNet", "DEPTH": 18, "FREEZE_STAGES": 2, "WEIGHTS": "no/such/file.pth"}
    model = build_model(model_config(BACKBONE=backbone, WEIGHTS="neither/this/one.pth"))
    assert model.backbone.weights == "no/such/file.pth"
    assert model.backbone.has_frozen_stages


def test_a_copy_is_independent(model: RetinaNet) -> None:
    twin = copy.deepcopy(loud(model))
    images = pictures()
    expected = model.predictions(images, [SIZE] * 2)
    assert_close(twin.predictions(images, [SIZE] * 2), expected, atol=0)
    nn.init.zeros_(twin.head.box.weight)
    assert_close(model.predictions(images, [SIZE] * 2), expected, atol=0)


def test_the_state_holds_weights_only(model: RetinaNet) -> None:
    assert {name.partition(".")[0] for name in model.state_dict()} == {"backbone", "neck", "head"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"NUM_CLASSES": "auto"}, r"MODEL\.NUM_CLASSES is auto: .* pass the number of classes"),
        ({"NUM_CLASSES": 0}, r"MODEL\.NUM_CLASSES .* expected int >= 1 or 'auto', got 0"),
        (
            {"BACKBONE": {"NAME": "ResNet", "DEPTH": 18, "IN_CHANNELS": 4}},
            r"MODEL\.BACKBONE\.IN_CHANNELS is 4, MODEL\.INPUT\.PIXEL_MEAN has 3 entries",
        ),
        ({"NECK": {"NAME": "FPN", "LEVELS": [1, 5]}}, r"MODEL\.NECK \(FPN\): levels expects .*, got \[1, 5\]"),
        ({"ANCHORS": {"NAME": "GridAnchors", "SIZES": [[32.0]]}}, r"MODEL\.ANCHORS \(GridAnchors\): .* each of 5 levels"),
        ({"LOSSES": {"CLASSIFICATION": {"NAME": "GIoULoss"}}}, r"classification takes .* GIoULoss is none"),
        ({"LOSSES": {"REGRESSION": {"NAME": "FocalLoss"}}}, r"regression takes .* FocalLoss is none"),
        ({"LOSSES": {"REGRESSION": []}}, r"MODEL\.LOSSES\.REGRESSION expects a loss or a list of losses, got an empty list"),
        (
            {"LOSSES": {"REGRESSION": [{"NAME": "L1Loss"}, {"NAME": "GIoULoss"}, {"NAME": "GIoULoss"}]}},
            r"MODEL\.LOSSES\.REGRESSION\.2: a second GIoULoss would have the name loss_box_GIoULoss of the first",
        ),
        ({"DECODER": {"NMS": {"NAME": "BatchedNMS", "IOU_THRESHOLD": 2.0}}}, r"MODEL\.DECODER\.NMS .*0\.\.1, got 2\.0"),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_their_key(
    model_config: ModelConfig, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_model(model_config(**keys))


def test_the_backbone_is_of_its_registry(model: RetinaNet) -> None:
    assert type(model.backbone) is ResNet
    assert type(model) is RetinaNet
