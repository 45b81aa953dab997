import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torchvision import tv_tensors
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms.v2.functional import resize

from dettoolkit.data.image_io import read_image
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


@pytest.mark.parametrize(("shortest", "antialias"), [(80, True), (80, False), (60, True), (32, True), (59, True)])
def test_pixels_are_within_one_grey_level_of_float32(shortest, antialias):
    # enlarged, as it is, and made smaller; black beside white makes errors largest
    for seed in range(5):
        pixels = np.random.default_rng(seed).integers(2, size=(3, 60, 90), dtype=np.uint8) * 255
        image = tv_tensors.Image(torch.from_numpy(pixels))
        ours = ResizeShortestEdge([shortest], 200, antialias)(image)
        theirs = resize(torch.from_numpy(pixels).float(), list(ours.shape[-2:]), antialias=antialias).round()
        assert type(ours) is tv_tensors.Image
        assert ours.dtype == torch.uint8
        assert (ours.as_subclass(torch.Tensor).float() - theirs).abs().max() <= 1


def test_real_pictures_are_within_one_grey_level_of_float32(real_data):
    for path in sorted((real_data / "txl_pbc" / "images" / "val").iterdir())[:2]:
        pixels = read_image(path)
        for shortest in (800, 400):
            ours = ResizeShortestEdge([shortest], 1333)(tv_tensors.Image(pixels)).as_subclass(torch.Tensor)
            theirs = resize(pixels.float(), list(ours.shape[-2:]), antialias=True).round()
            assert (ours.float() - theirs).abs().max() <= 1


def test_masks_and_their_image_have_the_same_size():
    sample = {"image": tv_tensors.Image(torch.zeros(3, 8, 9, dtype=torch.uint8)), "mask": tv_tensors.Mask(torch.ones(1, 8, 9))}
    out = ResizeShortestEdge([20], 100)(sample)
    assert out["image"].shape[-2:] == out["mask"].shape[-2:] == (20, 23)  # 9 * 20 / 8 = 22.5, up
    assert type(out["mask"]) is tv_tensors.Mask


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
