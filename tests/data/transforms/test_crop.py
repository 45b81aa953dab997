import pytest
import torch
from torchvision import tv_tensors

from dettoolkit.data.transforms import Pipeline, RandomIoUCrop
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS


def sample(boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {
        "image": tv_tensors.Image(torch.zeros(3, 100, 150, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(100, 150)),
    }


def test_an_image_without_boxes_stays_whole_and_draws_no_random_number():
    before = torch.get_rng_state()
    assert RandomIoUCrop()(sample([]))["image"].shape == (3, 100, 150)
    assert torch.equal(before, torch.get_rng_state())


def test_a_crop_keeps_the_centre_of_a_box():
    transform = RandomIoUCrop(sampler_options=(0.0, 1.0))
    outs = [transform(sample([[10, 10, 30, 30], [100, 60, 140, 90]])) for _ in range(30)]
    assert any(out["image"].shape != (3, 100, 150) for out in outs)
    for out in outs:
        left, top, right, bottom = out["boxes"].unbind(-1)
        assert ((right > left) & (bottom > top)).any()


def test_ignore_regions_stay_as_long_as_anything_of_them_is_seen(plain):
    given = plain([(70, 40, 80, 60), (0, 0, 60, 100)], ignore=[False, True], value=0)
    given["image"][:, :, :60] = 255  # the region's centre, at column 30, is outside of most parts that show its right side
    pipeline = Pipeline([RandomIoUCrop(sampler_options=(0.0, 1.0))])
    outside = 0
    for seed in range(60):
        out = pipeline(given, (seed,))
        seen = int((out["image"][0, 0] == 255).sum())
        found = dict(zip(out["labels"].tolist(), out["boxes"].tolist(), strict=True))
        height = out["image"].shape[1]
        assert found.get(1) == ([0, 0, seen, height] if seen else None)
        assert out["ignore"].tolist() == [label == 1 for label in out["labels"].tolist()]
        outside += 0 < seen < 30
    assert outside > 5


def test_a_picture_of_one_pixel_stays_whole(plain):
    given = plain([(0, 0, 1, 1)], size=(1, 1))
    assert RandomIoUCrop(sampler_options=(0.0, 1.0))(given)["boxes"].tolist() == [[0, 0, 1, 1]]


def test_options_that_no_image_may_fit_are_refused():
    # a box of one pixel has an IoU of 0.9 with no crop, so nothing would ever end the search
    with pytest.raises(ConfigError, match=r"T.0 \(RandomIoUCrop\): expected a 1.0 among the sampler_options, got \[0.9\]"):
        TRANSFORMS.build({"NAME": "RandomIoUCrop", "SAMPLER_OPTIONS": [0.9]}, "T.0")
