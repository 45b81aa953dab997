"""RetinaNet's head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import retinanet as torchvision_retinanet

from dettoolkit.modeling.heads import RetinaNetHead


def maps(channels: int, *sizes: tuple[int, int], images: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(images, channels, *size, generator=generator) for size in sizes]


@pytest.mark.parametrize("num_convs", [0, 1, 4])
@pytest.mark.parametrize("norm", ["none", "GN", "BN", "SyncBN"])
def test_predictions_have_a_row_for_each_anchor(num_convs: int, norm: Any) -> None:
    head = RetinaNetHead(8, num_anchors=3, num_classes=5, num_levels=2, num_convs=num_convs, norm=norm)
    predictions = head(maps(8, (4, 6), (2, 3)))
    assert [tuple(level.shape) for level in predictions.logits] == [(2, 72, 5), (2, 18, 5)]
    assert [tuple(level.shape) for level in predictions.deltas] == [(2, 72, 4), (2, 18, 4)]
    assert predictions.map_sizes == [(4, 6), (2, 3)]
    assert predictions.num_images == 2
    convolutions = [module for module in head.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 2 * num_convs + 2


def test_rows_run_over_the_map_and_then_the_anchors_of_a_location() -> None:
    # no tower; each output is the map's value times 1 plus its own bias: logits a * K + k, deltas 10 * (a * 4 + d)
    head = RetinaNetHead(1, num_anchors=2, num_classes=3, num_levels=1, num_convs=0)
    for convolution, step in ((head.classification, 1), (head.box, 10)):
        nn.init.zeros_(convolution.weight)
        convolution.weight.data[:, 0, 1, 1] = 1
        convolution.bias.data = torch.arange(len(convolution.weight)).float() * step
    values = torch.arange(12).view(1, 1, 3, 4) * 1000.0
    predictions = head([values])
    for y in range(3):
        for x in range(4):
            for anchor in range(2):
                row = (y * 4 + x) * 2 + anchor
                here = 1000.0 * (y * 4 + x)
                assert predictions.logits[0][0, row].tolist() == [here + anchor * 3 + k for k in range(3)]
                assert predictions.deltas[0][0, row].tolist() == [here + 10 * (anchor * 4 + d) for d in range(4)]


@pytest.mark.parametrize("channels_last", [True, False])
def test_predictions_of_channels_last_maps_are_views(channels_last: bool) -> None:
    head = RetinaNetHead(16, num_anchors=2, num_classes=3, num_levels=1, num_convs=1)
    x = maps(16, (5, 7))[0]
    if channels_last:
        head, x = head.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    seen: list[int] = []
    head.classification.register_forward_hook(lambda module, arguments, output: seen.append(output.data_ptr()))
    head.box.register_forward_hook(lambda module, arguments, output: seen.append(output.data_ptr()))
    predictions = head([x])
    assert ([predictions.logits[0].data_ptr(), predictions.deltas[0].data_ptr()] == seen) == channels_last


@pytest.mark.parametrize("prior", [0.01, 0.3])
def test_every_anchor_starts_at_the_prior_probability(prior: float) -> None:
    torch.manual_seed(0)
    head = RetinaNetHead(32, num_anchors=9, num_classes=4, num_levels=1, prior_probability=prior)
    probabilities = head(maps(32, (8, 8))).logits[0].sigmoid()
    torch.testing.assert_close(probabilities, torch.full_like(probabilities, prior), rtol=0.02, atol=0)


def test_the_loss_of_the_first_step_is_not_swamped_by_negatives() -> None:
    # section 4.1: at p = 0.01 a negative costs -log(0.99), about 0.01, of cross-entropy
    logits = RetinaNetHead(8, 1, 1, 1)(maps(8, (2, 2))).logits[0]
    assert nn.functional.softplus(logits).mean().item() == pytest.approx(0.01005, rel=0.02)


def test_predictions_are_those_of_torchvisions_head() -> None:
    torch.manual_seed(0)
    ours = RetinaNetHead(16, num_anchors=3, num_classes=4, num_levels=2)
    theirs = torchvision_retinanet.RetinaNetHead(16, num_anchors=3, num_classes=4)
    state = {}
    for tower, last, name in (
        (ours.classification_tower, ours.classification, "classification_head.{}"),
        (ours.box_tower, ours.box, "regression_head.{}"),
    ):
        final = name.format("cls_logits" if "class" in name else "bbox_reg")
        for part, convolution in [(name.format(f"conv.{i}.0"), tower.convs[i]) for i in range(4)] + [(final, last)]:
            nn.init.normal_(convolution.weight, std=0.1)  # the initial weights are too small to tell anything
            state[f"{part}.weight"], state[f"{part}.bias"] = convolution.weight, convolution.bias
    theirs.load_state_dict(state)
    x = maps(16, (6, 5), (3, 3))
    expected, predictions = theirs(x), ours(x)
    torch.testing.assert_close(torch.cat(predictions.logits, dim=1), expected["cls_logits"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.cat(predictions.deltas, dim=1), expected["bbox_regression"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["BN", "SyncBN"])
def test_batch_statistics_are_kept_apart_by_level(norm: Any) -> None:
    head = RetinaNetHead(4, 1, 1, num_levels=2, num_convs=1, norm=norm)
    small, large = maps(4, (4, 4), (4, 4))
    large = large * 100 + 50
    head.train()([small, large])
    for x, norm_of_level in zip([small, large], head.classification_tower.norms[0].levels, strict=True):
        values = head.classification_tower.convs[0](x)  # one step of momentum 0.1 from mean 0 and variance 1
        torch.testing.assert_close(norm_of_level.running_mean, 0.1 * values.mean(dim=(0, 2, 3)))
        torch.testing.assert_close(norm_of_level.running_var, 0.9 + 0.1 * values.var(dim=(0, 2, 3)))
    head.eval()  # each level is normed by its own statistics
    alone = head([small, small]).logits
    assert not torch.allclose(alone[0], alone[1], rtol=1e-4)
    torch.testing.assert_close(head([small, large]).logits[0], alone[0])


def test_convolutions_are_shared_by_the_levels() -> None:
    head = RetinaNetHead(4, 1, 1, num_levels=2, num_convs=2, norm="GN")
    (x,) = maps(4, (4, 4))
    first, second = head.eval()([x, x]).logits
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.5])
def test_a_prior_that_is_no_probability_is_refused(prior: float) -> None:
    with pytest.raises(ValueError, match=f"prior_probability expects a number between 0 and 1, got {prior}"):
        RetinaNetHead(4, 1, 1, 1, prior_probability=prior)


@pytest.mark.parametrize(("num_classes", "num_convs"), [(0, 4), (-1, 4), (3, -1)])
def test_no_class_and_less_than_no_convolution_are_refused(num_classes: int, num_convs: int) -> None:
    with pytest.raises(ValueError, match=f"num_classes >= 1 and num_convs >= 0, got {num_classes} and {num_convs}"):
        RetinaNetHead(4, 1, num_classes, 1, num_convs=num_convs)
