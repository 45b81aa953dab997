from __future__ import annotations

import pytest

from dettoolkit.diagnosis.recipe.rules import batch_norm_advice, epochs_for, plan_batch, warm_up, workers


@pytest.mark.parametrize(
    ("images", "processes", "fits", "reference", "expected"),
    [
        (117_266, 8, 2, 16, (16, 1, 2)),  # COCO's 1x on eight GPUs
        (117_266, 1, 4, 16, (16, 4, 4)),  # one GPU that four images fit into: four parts of four
        (117_266, 1, 5, 16, (16, 4, 4)),  # five fit, but 16 is divided evenly by four and not by five
        (117_266, 1, 1, 16, (16, 16, 1)),
        (117_266, 3, 8, 16, (15, 1, 5)),  # a multiple of three
        (117_266, 32, 8, 16, (32, 1, 1)),  # a process has one image at least
        (1_000, 1, 8, 16, (4, 1, 4)),
        (5_000, 2, 8, 16, (8, 1, 4)),
        (1_000, 1, 8, 2, (2, 1, 2)),  # never more than the reference because of a small set
    ],
)
def test_batches_worked_by_hand(images: int, processes: int, fits: int, reference: int, expected: tuple[int, int, int]) -> None:
    plan = plan_batch(images, processes, fits, reference)
    assert (plan.size, plan.accumulate, plan.at_once) == expected
    assert plan.size == processes * plan.accumulate * plan.at_once
    assert plan.at_once <= fits


def test_a_batch_says_why() -> None:
    assert "small batches make more steps" in plan_batch(1_000, 1, 8, 16).why
    assert "a multiple of 3 processes" in plan_batch(117_266, 3, 8, 16).why


def test_coco_has_its_own_schedule() -> None:
    epochs, why = epochs_for(117_266, 16, pretrained=True)
    assert epochs == 12  # 90,000 * 16 / 117,266 = 12.28
    assert f"{12 * (117_266 // 16):,} iterations of 16 images" in why  # 12 * 7,329 = 87,948


def test_an_eighth_of_the_images_has_twice_the_epochs_and_a_quarter_of_the_steps() -> None:
    # the cube root of 8 is 2: 24.56 epochs
    assert epochs_for(117_266 // 8, 16, pretrained=True)[0] == 25


@pytest.mark.parametrize(("images", "schedule"), [(16_551, 17.4), (2_975, 64.5)])
def test_the_rule_is_within_a_factor_of_two_of_detectron2s_schedules(images: int, schedule: float) -> None:
    # VOC: 18,000 iterations of 16 images; Cityscapes: 24,000 of 8
    assert 0.5 < epochs_for(images, 16, pretrained=True)[0] / schedule < 2


def test_from_scratch_takes_three_times_as_long_and_very_small_sets_enough_steps() -> None:
    assert epochs_for(117_266, 16, pretrained=False)[0] == 37  # 3 * 12.28
    epochs, _ = epochs_for(10, 10, pretrained=True)
    assert epochs == 500  # one step an epoch, and no training is shorter than 500


def test_warm_up_is_longer_for_large_batches() -> None:
    assert warm_up(90_000, 16, 16) == ("auto", "1,000 iterations: 1000, at most a tenth of the training")
    assert warm_up(5_000, 16, 16)[1].startswith("500 iterations")
    # eight times the reference: 1000 * 128 / 64
    assert warm_up(90_000, 128, 16)[0] == "2000it"
    assert warm_up(900, 128, 16)[0] == "180it"  # a fifth at most
    assert warm_up(90_000, 64, 16)[0] == "auto"  # four times: 1000 again


def test_workers_share_the_cores_that_the_training_leaves() -> None:
    assert workers(16, 4, 2)[0] == 3
    assert workers(2, 1, 2)[0] == 1
    assert workers(1, 1, 2)[0] == 1
    assert workers(96, 1, 2)[0] == 8


def test_batch_norm_of_few_images_is_told() -> None:
    assert "from 2 images at a time" in batch_norm_advice(2, True)
    assert batch_norm_advice(2, False) == batch_norm_advice(4, True) == ""
