"""The criterion by hand and against torchvision's RetinaNet."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.retinanet import RetinaNetHead as TorchvisionHead
from torchvision.ops import box_iou

from dettoolkit.errors import ConfigError
from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.box_coders import DeltaXYWHCoder
from dettoolkit.modeling.dense import DenseCriterion
from dettoolkit.modeling.dense.normalizer import MovingAverage, PerImage, WorldAverage
from dettoolkit.modeling.losses import (
    CIoULoss,
    CrossEntropyLoss,
    DIoULoss,
    DistributionFocalLoss,
    FocalLoss,
    FocalStarLoss,
    GIoULoss,
    HingeLoss,
    L1Loss,
    QualityFocalLoss,
    SmoothL1Loss,
    VarifocalLoss,
)
from dettoolkit.modeling.matchers import MaxIoUMatcher
from dettoolkit.modeling.miners import OHEM, AllExamples
from dettoolkit.structures import Annotations, DensePredictions, LossOutput, Matches

MAP_SIZES = [(8, 10), (4, 5)]
ANCHORS = GridAnchors([8, 16])(MAP_SIZES, "cpu")
PAIR = [torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[40.0, 40.0, 50.0, 50.0]])]  # two levels of one anchor


def criterion(**parts: Any) -> DenseCriterion:
    """Return a criterion as the paper's, with other parts where they are given."""
    usual = {
        "matcher": MaxIoUMatcher(),
        "miner": AllExamples(),
        "coder": DeltaXYWHCoder(),
        "classification_loss": FocalLoss(),
        "box_losses": {"loss_box": SmoothL1Loss(0.1)},
        "loss_weights": {},
        "normalizer": WorldAverage(),
    }
    return DenseCriterion(**{**usual, **parts})


def truth(*boxes: list[float], labels: list[int] | None = None, crowds: list[bool] | None = None) -> Annotations:
    count = len(boxes)
    return Annotations(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(labels or [0] * count, dtype=torch.int64),
        torch.tensor(crowds or [False] * count, dtype=torch.bool),
    )


def random_targets(num_classes: int, counts: tuple[int, ...] = (3, 0, 5)) -> list[Annotations]:
    targets = []
    for count in counts:
        center, half = torch.rand(count, 2) * 40 + 15, torch.rand(count, 2) * 20 + 8
        boxes = torch.cat([center - half, center + half], dim=1)
        targets.append(Annotations(boxes, torch.randint(0, num_classes, (count,)), torch.zeros(count, dtype=torch.bool)))
    return targets


def random_predictions(num_classes: int, images: int = 3) -> DensePredictions:
    """Return what a head might say of ANCHORS, with a gradient."""
    logits = [(torch.randn(images, len(level), num_classes) * 2).requires_grad_() for level in ANCHORS]
    deltas = [(torch.randn(images, len(level), 4) * 0.3).requires_grad_() for level in ANCHORS]
    return DensePredictions(logits, deltas, MAP_SIZES)


def of_pair(logits: list[float], deltas: list[list[float]], images: int = 1) -> DensePredictions:
    """Return predictions of one class for the two anchors of PAIR, the same for each image."""
    return DensePredictions(
        [torch.full((images, 1, 1), logit, requires_grad=True) for logit in logits],
        [torch.tensor([[delta]] * images, requires_grad=True) for delta in deltas],
        [(1, 1), (1, 1)],
    )


def gradients(output: LossOutput, predictions: DensePredictions) -> list[Tensor]:
    return list(torch.autograd.grad(output.total, [*predictions.logits, *predictions.deltas]))


def test_two_anchors_by_hand() -> None:
    # both logits 0: p = 0.5. Positive 0.25 * 0.5^2 * log 2, negative 0.75 * 0.5^2 * log 2; together log(2) / 4.
    # the positive's box is its anchor: target deltas 0; |0.5| costs 0.5 - 0.05 with beta 0.1. One positive.
    output = criterion()(of_pair([0.0, 0.0], [[0.5, 0.0, 0.0, 0.0], [9.0] * 4]), PAIR, [truth([0.0, 0.0, 10.0, 10.0])])
    assert list(output.losses) == ["loss_cls", "loss_box"]
    assert output.losses["loss_cls"].item() == pytest.approx(math.log(2) / 4)
    assert output.losses["loss_box"].item() == pytest.approx(0.45)
    assert output.metrics["num_positives"].item() == 1
    assert output.total.item() == pytest.approx(math.log(2) / 4 + 0.45)


@pytest.mark.parametrize(
    ("kind", "box_loss"),
    [
        ("l1", L1Loss()),
        ("smooth_l1", SmoothL1Loss(1.0)),
        ("giou", GIoULoss()),
        ("diou", DIoULoss()),
        ("ciou", CIoULoss()),
    ],
)
@pytest.mark.parametrize("num_classes", [1, 4])
def test_losses_and_gradients_are_torchvisions(kind: str, box_loss: Any, num_classes: int) -> None:
    predictions, targets = random_predictions(num_classes), random_targets(num_classes)
    ours = criterion(box_losses={"loss_box": box_loss}, normalizer=PerImage())(predictions, ANCHORS, targets)

    anchors = torch.cat(ANCHORS)
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    none = torch.full((len(anchors),), -1)
    matched = [matcher(box_iou(target.boxes, anchors)) if len(target) else none for target in targets]
    head = TorchvisionHead(8, num_anchors=9, num_classes=num_classes)
    head.regression_head._loss_type = kind
    expected = head.compute_loss(
        [{"boxes": target.boxes, "labels": target.labels} for target in targets],
        {"cls_logits": torch.cat(predictions.logits, 1), "bbox_regression": torch.cat(predictions.deltas, 1)},
        [anchors] * 3,
        matched,
    )
    assert ours.metrics["num_positives"] > 3
    torch.testing.assert_close(ours.losses["loss_cls"], expected["classification"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.losses["loss_box"], expected["bbox_regression"], rtol=1e-4, atol=1e-5)
    theirs = LossOutput(expected)
    for slope, wanted in zip(gradients(ours, predictions), gradients(theirs, predictions), strict=True):
        torch.testing.assert_close(slope, wanted, rtol=1e-3, atol=1e-5)


def test_each_positive_anchor_meets_the_box_and_label_of_its_own_image() -> None:
    seen: list[Tensor] = []

    class Recorder:
        operates_on = "boxes"

        def __call__(self, prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
            seen.extend([prediction.detach(), target, weights])
            return prediction.sum() * 0

    first, second = [0.0, 0.0, 10.0, 11.0], [40.0, 40.0, 50.0, 51.0]
    targets = [
        truth(second, first, labels=[1, 0]),
        truth(),
        truth([300.0, 300.0, 400.0, 400.0], second, labels=[0, 2], crowds=[True, False]),
    ]
    predictions = DensePredictions(
        [torch.zeros(3, 1, 3, requires_grad=True) for _ in PAIR], [torch.zeros(3, 1, 4) for _ in PAIR], [(1, 1), (1, 1)]
    )
    output = criterion(box_losses={"loss_box": Recorder()}, normalizer=PerImage())(predictions, PAIR, targets)
    prediction, target, weights = seen
    assert target.tolist() == [first, second, second]
    assert prediction.tolist() == torch.cat(PAIR)[[0, 1, 1]].tolist()  # deltas of zero are the anchors
    torch.testing.assert_close(weights, torch.tensor([1 / 6, 1 / 6, 1 / 3]))  # 2, 2 and 1 positives, 3 images
    slopes = torch.cat(torch.autograd.grad(output.losses["loss_cls"], predictions.logits), dim=1)  # [3, 2, K]
    assert [tuple(place) for place in (slopes < 0).nonzero().tolist()] == [(0, 0, 0), (0, 1, 1), (2, 1, 2)]


def test_a_batch_without_boxes_has_a_classification_loss_and_no_box_loss() -> None:
    predictions = random_predictions(2)
    output = criterion()(predictions, ANCHORS, [truth()] * 3)
    assert output.losses["loss_cls"] > 0
    assert output.losses["loss_box"].item() == 0
    assert output.metrics["num_positives"].item() == 0
    slopes = gradients(output, predictions)  # every prediction is part of the graph: DDP needs that
    assert all(slope.isfinite().all() for slope in slopes)
    assert all((slope == 0).all() for slope in slopes[2:])


@pytest.mark.parametrize("box_loss", [SmoothL1Loss(), GIoULoss()])
def test_nothing_but_ignored_anchors_gives_exactly_zero(box_loss: Any) -> None:
    predictions = random_predictions(2)
    crowd = truth([-500.0, -500.0, 500.0, 500.0], crowds=[True])
    output = criterion(box_losses={"loss_box": box_loss})(predictions, ANCHORS, [crowd] * 3)
    assert output.total.item() == 0
    assert all((slope == 0).all() for slope in gradients(output, predictions))


@pytest.mark.parametrize("normalizer", [WorldAverage(), PerImage(), MovingAverage()])
def test_huge_predictions_give_finite_losses_and_gradients(normalizer: Any) -> None:
    predictions = of_pair([1e4, -1e4], [[1e4, -1e4, 1e4, -1e4]] * 2, images=2)
    targets = [truth([0.0, 0.0, 10.0, 10.0]), truth([40.0, 40.0, 50.0, 50.0])]
    for box_loss in (SmoothL1Loss(), GIoULoss(), CIoULoss()):
        output = criterion(box_losses={"loss_box": box_loss}, normalizer=normalizer)(predictions, PAIR, targets)
        assert output.total.isfinite()
        assert all(slope.isfinite().all() for slope in gradients(output, predictions))


def test_eval_mode_gives_sums_that_add_up_over_images() -> None:
    whole, predictions, targets = criterion().eval(), random_predictions(3), random_targets(3)
    together = whole(predictions, ANCHORS, targets)
    training = whole.train()(predictions, ANCHORS, targets)
    positives = together.metrics["num_positives"]
    whole.eval()
    for name in ("loss_cls", "loss_box"):
        torch.testing.assert_close(training.losses[name] * positives, together.losses[name])
        alone = []
        for index, target in enumerate(targets):
            logits, deltas = ([level[index : index + 1] for level in x] for x in (predictions.logits, predictions.deltas))
            alone.append(whole(DensePredictions(logits, deltas, MAP_SIZES), ANCHORS, [target]).losses[name])
        torch.testing.assert_close(torch.stack(alone).sum(), together.losses[name])


def test_eval_mode_changes_no_state_and_asks_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(total: Tensor) -> Tensor:
        raise AssertionError("a collective in eval mode")

    moving = criterion(normalizer=MovingAverage())
    for module in ("normalizer", "criterion"):
        monkeypatch.setattr(f"dettoolkit.modeling.dense.{module}.mean_over_processes", forbidden)
    for normalizer in (moving.normalizer, WorldAverage()):
        for miner in (AllExamples(), Hardest()):
            evaluated = criterion(normalizer=normalizer, miner=miner).eval()
            evaluated(random_predictions(2), ANCHORS, random_targets(2))
    assert moving.state_dict() == {"normalizer.average": torch.tensor(100.0)}


def test_the_moving_average_is_part_of_the_state() -> None:
    moving = criterion(normalizer=MovingAverage())
    output = moving(random_predictions(2), ANCHORS, random_targets(2))
    expected = 90 + 0.1 * output.metrics["num_positives"].item()
    assert moving.state_dict()["normalizer.average"].item() == pytest.approx(expected)


def test_losses_are_computed_in_float32_under_autocast() -> None:
    predictions, targets = random_predictions(2), random_targets(2)
    halves = DensePredictions(
        [x.detach().bfloat16().requires_grad_() for x in predictions.logits],
        [x.detach().bfloat16().requires_grad_() for x in predictions.deltas],
        MAP_SIZES,
    )
    expected = criterion()(halves.float(), ANCHORS, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = criterion()(halves, ANCHORS, targets)
    for name, loss in output.losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected.losses[name], rtol=0, atol=0)
    assert {slope.dtype for slope in gradients(output, halves)} == {torch.bfloat16}


@pytest.mark.parametrize(
    "loss", [FocalLoss(), FocalStarLoss(), CrossEntropyLoss(), HingeLoss(), QualityFocalLoss(), VarifocalLoss()]
)
@pytest.mark.parametrize(
    ("miner", "rounding"),
    [(AllExamples(), 0.0), (OHEM(num_examples=20), 2**-7)],  # a miner's weights come later: slopes are rounded twice
)
def test_logits_in_bfloat16_give_the_losses_and_slopes_of_their_copies(loss: Any, miner: Any, rounding: float) -> None:
    predictions, targets = random_predictions(2), random_targets(2)
    found = []
    for takes_bfloat16 in (True, False):
        halves = DensePredictions(
            [x.detach().bfloat16().requires_grad_() for x in predictions.logits], predictions.deltas, MAP_SIZES
        )
        calculate = copy.copy(loss)
        calculate.takes_bfloat16 = takes_bfloat16
        output = criterion(classification_loss=calculate, miner=miner)(halves, ANCHORS, targets)
        found.append((output.total.detach(), *torch.autograd.grad(output.total, halves.logits)))
    (value, *slopes), (copied_value, *copied_slopes) = found
    assert value == copied_value
    torch.testing.assert_close(slopes, copied_slopes, rtol=rounding, atol=0)


def test_losses_of_any_kind_are_spared_autocast() -> None:
    class Product:
        needs_quality, operates_on = False, "deltas"

        def __call__(self, prediction: Tensor, *others: Any) -> Tensor:
            assert prediction.dtype == torch.float32
            product = prediction.flatten()[None] @ prediction.flatten()[:, None]  # bfloat16 under autocast
            assert product.dtype == torch.float32
            return product.sum()

    predictions = of_pair([0.0, 0.0], [[0.0] * 4] * 2)
    halves = DensePredictions(
        [x.bfloat16() for x in predictions.logits], [x.bfloat16() for x in predictions.deltas], [(1, 1)] * 2
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        criterion(classification_loss=Product(), box_losses={"loss_box": Product()})(
            halves, PAIR, [truth([0.0, 0.0, 10.0, 10.0])]
        )


def test_several_box_losses_are_summed_with_their_weights() -> None:
    predictions, targets = random_predictions(2), random_targets(2)
    losses = {"loss_box": L1Loss(), "loss_box_GIoULoss": GIoULoss()}
    plain = criterion(box_losses=losses)(predictions, ANCHORS, targets)
    weights = {"loss_cls": 0.5, "loss_box": 2.0, "loss_box_GIoULoss": 3.0}
    weighted = criterion(box_losses=losses, loss_weights=weights)(predictions, ANCHORS, targets)
    assert list(plain.losses) == list(weights)
    for name, factor in weights.items():
        torch.testing.assert_close(weighted.losses[name], plain.losses[name] * factor)
    torch.testing.assert_close(weighted.total, sum(weighted.losses.values()))


def test_the_classification_loss_can_be_another() -> None:
    # cross-entropy of two undecided anchors, one of them positive: 2 log 2
    output = criterion(classification_loss=CrossEntropyLoss())(
        of_pair([0.0, 0.0], [[0.0] * 4] * 2), PAIR, [truth([0.0, 0.0, 10.0, 10.0])]
    )
    assert output.losses["loss_cls"].item() == pytest.approx(2 * math.log(2))


class Hardest:
    """A miner that takes the example of each image with the largest loss."""

    def __call__(self, loss: Tensor, labels: Tensor, boxes: Tensor) -> tuple[Tensor, int]:
        assert not torch.is_grad_enabled()
        assert loss.shape == labels.shape == boxes.shape[:1]
        return torch.zeros_like(loss).index_fill_(0, loss.argmax(), 1.0), 1


def test_a_miner_picks_the_examples_that_count() -> None:
    predictions, targets = random_predictions(2), random_targets(2)
    output = criterion(miner=Hardest())(predictions, ANCHORS, targets)
    labels = torch.stack([_labels(target) for target in targets])
    by_anchor = FocalLoss()(torch.cat(predictions.logits, 1), labels, by_anchor=True)
    torch.testing.assert_close(output.losses["loss_cls"], by_anchor.amax(1).mean())  # three images, three examples
    slopes = torch.autograd.grad(output.losses["loss_cls"], predictions.logits)
    assert int((torch.cat(slopes, 1) != 0).any(-1).sum()) == 3
    evaluated = criterion(miner=Hardest()).eval()(predictions, ANCHORS, targets)
    torch.testing.assert_close(evaluated.losses["loss_cls"], by_anchor.amax(1).sum())


def _labels(target: Annotations) -> Tensor:
    indices = MaxIoUMatcher()(ANCHORS, target).indices
    return torch.tensor([int(target.labels[i]) if i >= 0 else int(i) for i in indices])


def test_a_miner_gets_decoded_boxes() -> None:
    seen = []

    class Spy(Hardest):
        def __call__(self, loss: Tensor, labels: Tensor, boxes: Tensor) -> tuple[Tensor, int]:
            seen.append(boxes)
            return super().__call__(loss, labels, boxes)

    criterion(miner=Spy())(of_pair([0.0, 0.0], [[0.5, 0.0, 0.0, 0.0], [0.0] * 4]), PAIR, [truth()])
    assert seen[0].tolist() == [[5.0, 0.0, 15.0, 10.0], [40.0, 40.0, 50.0, 50.0]]


def test_mined_examples_are_counted_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, targets = random_predictions(2), random_targets(2)
    alone = criterion(miner=Hardest())(predictions, ANCHORS, targets).losses["loss_cls"]
    monkeypatch.setattr("dettoolkit.modeling.dense.criterion.mean_over_processes", lambda count: count * 2)
    torch.testing.assert_close(criterion(miner=Hardest())(predictions, ANCHORS, targets).losses["loss_cls"], alone / 2)


@pytest.mark.parametrize("miner", [AllExamples(), Hardest()])
def test_observers_see_logits_labels_and_losses_by_level_without_gradient(miner: Any) -> None:
    seen: list[Any] = []
    observed, predictions, targets = criterion(miner=miner), random_predictions(2), random_targets(2)
    observed.observers.append(lambda *levels: seen.append((levels, torch.is_grad_enabled())))
    output = observed(predictions, ANCHORS, targets)
    ((logits, labels, losses), gradient) = seen[0]
    assert not gradient
    assert not any(x.requires_grad for x in [*logits, *losses])
    assert all(x.equal(wanted) for x, wanted in zip(logits, predictions.logits, strict=True))
    assert [x.shape for x in labels] == [x.shape[:2] for x in predictions.logits]
    assert torch.cat(labels, 1)[2].equal(_labels(targets[2]))
    torch.testing.assert_close(sum(losses), output.losses["loss_cls"].detach())


class MatcherWithQuality(MaxIoUMatcher):
    def __call__(self, anchors: Any, annotations: Any, predictions: Any = None) -> Matches:
        matches = super().__call__(anchors, annotations, predictions)
        return Matches(matches.indices, torch.arange(len(matches.indices)).float())


class QualityLoss:
    needs_quality = True

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(
        self, logits: Tensor, labels: Tensor, weights: Any = None, quality: Any = None, by_anchor: bool = False
    ) -> Tensor:
        self.seen.append(quality)
        return logits.sum(-1) if by_anchor else logits.sum()


@pytest.mark.parametrize("miner", [AllExamples(), Hardest()])
def test_a_loss_that_learns_a_quality_gets_it_by_level(miner: Any) -> None:
    loss = QualityLoss()
    criterion(matcher=MatcherWithQuality(), classification_loss=loss, miner=miner)(
        of_pair([0.0, 0.0], [[0.0] * 4] * 2, images=3), PAIR, [truth()] * 3
    )
    assert [quality.tolist() for quality in loss.seen] == [[[0.0]] * 3, [[1.0]] * 3]


def test_without_the_matcher_s_the_quality_is_the_overlap_of_predicted_and_wanted_box() -> None:
    # moved by half of their width, the boxes share 50 of 150 with their anchors, which are the wanted ones
    loss, moved = QualityLoss(), [[0.5, 0.0, 0.0, 0.0]] * 2
    first, second = [0.0, 0.0, 10.0, 10.0], [40.0, 40.0, 50.0, 50.0]
    predictions = of_pair([0.0, 0.0], moved, images=4)
    targets = [truth(second, first), truth(), truth(first), truth([300.0, 300.0, 400.0, 400.0], second)]
    output = criterion(classification_loss=loss)(predictions, PAIR, targets)
    third = pytest.approx(1 / 3)
    assert [quality.flatten().tolist() for quality in loss.seen] == [[third, 0, third, 0], [third, 0, 0, third]]
    assert not any(quality.requires_grad for quality in loss.seen)
    slopes = torch.autograd.grad(output.losses["loss_cls"], predictions.deltas, allow_unused=True)
    assert slopes == (None, None)  # the boxes are not moved to please the scores


@pytest.mark.parametrize("miner", [AllExamples(), Hardest()])
def test_quality_focal_loss_by_hand(miner: Any) -> None:
    # the quality of the positive is 1/3, as above: (1/2 - 1/3)^2 log 2 by p = 1/2; the negative: 1/4 log 2, the hardest
    found = criterion(classification_loss=QualityFocalLoss(), miner=miner)(
        of_pair([0.0, 0.0], [[0.5, 0.0, 0.0, 0.0]] * 2), PAIR, [truth([0.0, 0.0, 10.0, 10.0])]
    )
    positive = 1 / 36 if isinstance(miner, AllExamples) else 0
    assert found.losses["loss_cls"].item() == pytest.approx((positive + 1 / 4) * math.log(2))


def test_a_matcher_s_quality_goes_before_the_overlap_image_by_image() -> None:
    class OfFirstImage(MaxIoUMatcher):
        def __call__(self, anchors: Any, annotations: Any, predictions: Any = None) -> Matches:
            matches = super().__call__(anchors, annotations, predictions)
            return Matches(matches.indices, torch.tensor([0.25, 0.0]) if annotations is targets[0] else None)

    loss, targets = QualityLoss(), [truth([0.0, 0.0, 10.0, 10.0]), truth([0.0, 0.0, 10.0, 10.0])]
    criterion(classification_loss=loss, matcher=OfFirstImage())(of_pair([0.0] * 2, [[0.0] * 4] * 2, images=2), PAIR, targets)
    assert loss.seen[0].tolist() == [[0.25], [1.0]]


def test_a_distribution_that_no_head_predicts_is_refused() -> None:
    with pytest.raises(ConfigError, match="DistributionFocalLoss operates on distribution, but heads predict deltas") as error:
        criterion(box_losses={"loss_box": GIoULoss(), "loss_box_second": DistributionFocalLoss()})
    accepted = str(error.value).partition("one of ")[2].split(", ")
    assert {"L1Loss", "SmoothL1Loss", "GIoULoss", "DIoULoss", "CIoULoss"} <= set(accepted)
    assert not {"DistributionFocalLoss", "FocalLoss"} & set(accepted)


def test_losses_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="classification takes a loss on logits and labels, SmoothL1Loss is none"):
        criterion(classification_loss=SmoothL1Loss())
    with pytest.raises(ConfigError, match="regression takes losses on boxes or deltas, FocalLoss is none"):
        criterion(box_losses={"loss_box": FocalLoss()})
