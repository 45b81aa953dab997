import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torchvision import tv_tensors
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from dettoolkit.data.transforms import ResizeShortestEdge
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS


@pytest.mark.parametrize(
    ("size", "shortest", "longest", "expected"),
    [
        ((480, 640), 800, 1333, (800, 1067)),  # 640 * 800 / 480 = 1066.67
        ((427, 640), 800, 1333, (800, 1199)),  # 640 * 800 / 427 = 1199.06
        ((333, 1000), 800, 1333, (444, 1333)),  # 2402 would be too long: 333 * 1333 / 1000 = 443.89
        ((1000, 333), 800, 1333, (1333, 444)),
        ((4, 10), 5, 100, (5, 13)),  # 12.5 goes up, where round() would go down to the even 12
        ((10, 10), 20, 15, (15, 15)),
        ((1, 2000), 800, 1000, (1, 1000)),  # half a pixel stays one
        ((1, 5000), 800, 1000, (1, 1000)),  # a fifth of a pixel too
    ],
)
def test_output_size_is_that_of_hand_worked_examples(size, shortest, longest, expected):
    assert ResizeShortestEdge([shortest], longest).output_size(size, shortest) == expected


def test_pixels_are_those_of_pillow_up_to_rounding():
    pixels = np.random.default_rng(0).integers(256, size=(60, 90, 3), dtype=np.uint8)
    ours = ResizeShortestEdge([32], 100)(tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1)))
    theirs = np.asarray(PillowImage.fromarray(pixels).resize((48, 32), PillowImage.Resampling.BILINEAR))
    assert ours.dtype == torch.uint8
    assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1


def test_without_antialias_rounded_down_and_in_float_it_is_torchvisions_detection_transform():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(256, size=(3, 427, 640), dtype=np.uint8))
    theirs = GeneralizedRCNNTransform(300, 500, [0.0] * 3, [1.0] * 3)([pixels.float() / 255])[0]
    ours = ResizeShortestEdge([300], 500, antialias=False, rounding="down", dtype="float32")(tv_tensors.Image(pixels))
    height, width = theirs.image_sizes[0]
    assert ours.dtype == torch.float32
    assert ours.shape[-2:] == (height, width) == (300, 449)  # 640 * 300 / 427 = 449.6
    torch.testing.assert_close(ours.as_subclass(torch.Tensor), theirs.tensors[0, :, :height, :width] * 255, rtol=0, atol=1e-3)


def test_boxes_are_scaled_by_the_rounded_size():
    boxes = tv_tensors.BoundingBoxes(torch.tensor([[0.0, 0.0, 10.0, 4.0]]), format="XYXY", canvas_size=(4, 10))
    out = ResizeShortestEdge([5], 100)({"boxes": boxes})["boxes"]
    assert out.canvas_size == (5, 13)
    assert out.tolist() == [[0.0, 0.0, 13.0, 5.0]]


def test_one_of_several_sizes_is_drawn_and_all_of_them_come():
    transform = ResizeShortestEdge([8, 10, 12], 100)
    image = tv_tensors.Image(torch.zeros(3, 8, 16, dtype=torch.uint8))
    assert {transform(image).shape[-2] for _ in range(60)} == {8, 10, 12}


def test_a_single_size_draws_no_random_number():
    before = torch.get_rng_state()
    ResizeShortestEdge([8], 100)(tv_tensors.Image(torch.zeros(3, 8, 16, dtype=torch.uint8)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("sizes", "max_size"), [([], 10), ([0], 10), ([5], 0)])
def test_impossible_sizes_are_refused(sizes, max_size):
    with pytest.raises(ConfigError, match=r"DATASETS.TRAIN_TRANSFORMS.0 \(ResizeShortestEdge\): expected at least one size"):
        TRANSFORMS.build({"NAME": "ResizeShortestEdge", "SIZES": sizes, "MAX_SIZE": max_size}, "DATASETS.TRAIN_TRANSFORMS.0")
