import pytest
import torch
from torchvision import tv_tensors

from dettoolkit.data.transforms import InferencePipeline
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS

RESIZE = {"NAME": "ResizeShortestEdge", "SIZES": [200], "MAX_SIZE": 400}
FLIP = {"NAME": "RandomHorizontalFlip", "P": 1.0}
UPSIDE_DOWN = {"NAME": "RandomVerticalFlip", "P": 1.0}


def sample(height, width, boxes):
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {
        "image": tv_tensors.Image(torch.zeros(3, height, width, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": torch.zeros(len(boxes), dtype=torch.int64),
        "ignore": torch.zeros(len(boxes), dtype=torch.bool),
        "original_size": (height, width),
    }


@pytest.mark.parametrize(
    ("nodes", "scale", "offset"),
    [
        ([], (1, 1), (0, 0)),
        # 100 x 150 becomes 200 x 300
        ([RESIZE], (0.5, 0.5), (0, 0)),
        # x' = 150 - x, so x = 150 - x'
        ([FLIP], (-1, 1), (150, 0)),
        ([UPSIDE_DOWN], (1, -1), (0, 100)),
        # padding is left, top, right, bottom: x' = 2 x + 3, y' = 2 y + 4
        ([RESIZE, {"NAME": "Pad", "PADDING": [3, 4, 5, 6]}], (0.5, 0.5), (-1.5, -2)),
        # then a width of 308: x' = 308 - (2 x + 3), so x = 152.5 - x' / 2
        ([RESIZE, {"NAME": "Pad", "PADDING": [3, 4, 5, 6]}, FLIP], (-0.5, 0.5), (152.5, -2)),
        # x' = 150 - x + 3 before the padding on the other side
        ([FLIP, {"NAME": "Pad", "PADDING": [3, 4, 5, 6]}], (-1, 1), (153, -4)),
        # 100 x 150 to 50 x 300: x' = 2 x, y' = y / 2
        ([{"NAME": "Resize", "SIZE": [50, 300]}, UPSIDE_DOWN], (0.5, -2), (0, 100)),
        # the middle 60 x 50: x' = x - 50, y' = y - 20
        ([{"NAME": "CenterCrop", "SIZE": [60, 50]}], (1, 1), (50, 20)),
    ],
)
def test_way_back_of_hand_worked_examples(nodes, scale, offset):
    way_back = InferencePipeline(nodes)(sample(100, 150, []))["way_back"]
    assert way_back.scale == pytest.approx(scale, abs=1e-9)
    assert way_back.offset == pytest.approx(offset, abs=1e-9)


@pytest.mark.parametrize("size", [(37, 211), (480, 640), (1999, 1333), (64, 64)])
def test_random_boxes_come_back_to_a_thousandth_of_a_pixel(size):
    nodes = [{**RESIZE, "SIZES": [333]}, {"NAME": "Pad", "PADDING": [7, 2, 11, 5]}, FLIP, UPSIDE_DOWN]
    generator = torch.Generator().manual_seed(0)
    height, width = size
    corners = torch.rand(50, 2, 2, generator=generator) * torch.tensor([width - 8.0, height - 8.0])
    boxes = corners.sort(dim=1).values.flatten(1) + torch.tensor([0.0, 0.0, 8.0, 8.0])  # no box is lost for being small
    out = InferencePipeline(nodes)(sample(height, width, boxes))
    back = out["way_back"].boxes(out["boxes"].as_subclass(torch.Tensor), size)
    assert (back - boxes).abs().max() < 1e-3


def test_the_image_content_moves_as_the_boxes_do():
    # a bright rectangle on black, flipped, scaled by 2 and padded: its pixels are where the way back looks for it
    given = sample(100, 150, [[30, 20, 70, 50]])
    given["image"][:, 20:50, 30:70] = 255
    out = InferencePipeline([FLIP, RESIZE, {"NAME": "Pad", "PADDING": [3, 4, 5, 6]}])(given)
    rows, columns = torch.nonzero(out["image"][0] > 127, as_tuple=True)
    seen = torch.tensor([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=torch.float32)
    assert out["way_back"].boxes(seen, (100, 150)).tolist() == [[30, 20, 70, 50]]


def test_ground_truth_for_the_loss_is_transformed():
    out = InferencePipeline([RESIZE])(sample(100, 150, [[10, 20, 30, 40]]))
    assert out["boxes"].tolist() == [[20, 40, 60, 80]]


@pytest.mark.parametrize(
    "node",
    [
        {"NAME": "RandomHorizontalFlip"},
        {**RESIZE, "SIZES": [190, 200]},
        {"NAME": "ColorJitter", "BRIGHTNESS": 0.2},
        {"NAME": "RandomIoUCrop"},
    ],
    ids=lambda node: node["NAME"],
)
def test_random_transforms_are_refused_by_name(node):
    message = rf"DATASETS.TEST_TRANSFORMS.1 \({node['NAME']}\): gives a different result each time"
    with pytest.raises(ConfigError, match=message):
        InferencePipeline([RESIZE, node])


@pytest.mark.parametrize("degrees", [45, 90])
def test_turning_is_refused(degrees):
    node = {"NAME": "RandomRotation", "DEGREES": [degrees, degrees], "EXPAND": True}
    with pytest.raises(ConfigError, match=r"DATASETS.TEST_TRANSFORMS: the transforms move boxes in a way that"):
        InferencePipeline([{"NAME": "Resize", "SIZE": [64, 64]}, node])


def test_transforms_that_mix_samples_are_refused(monkeypatch):
    class Mixed:
        num_extra_samples = 3

    monkeypatch.setitem(TRANSFORMS._obj_map, "Mixed", Mixed)
    with pytest.raises(ConfigError, match=r"TEST_TRANSFORMS.0 \(Mixed\): mixes samples"):
        InferencePipeline([{"NAME": "Mixed"}])


def test_a_transform_that_moves_the_image_and_not_the_boxes_is_refused(monkeypatch):
    class Cut:
        def __call__(self, given):
            return {**given, "image": given["image"][:, 5:]} if "image" in given else given

    monkeypatch.setitem(TRANSFORMS._obj_map, "Cut", Cut)
    with pytest.raises(ConfigError, match=r"an image becomes \[95, 150\], the canvas of its boxes \[100, 150\]"):
        InferencePipeline([{"NAME": "Cut"}])(sample(100, 150, []))
