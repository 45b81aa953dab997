from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dettoolkit.cli.analyze_model import count_by_part
from dettoolkit.cli.main import run_command
from dettoolkit.config import load_config
from dettoolkit.modeling import build_model
from dettoolkit.structures import DensePredictions

R50 = [
    *("MODEL.NUM_CLASSES", "80", "MODEL.BACKBONE.DEPTH", "50", "MODEL.BACKBONE.NORM", "FrozenBN"),
    *("MODEL.NECK.NORM", "none", "MODEL.NECK.OUT_CHANNELS", "256", "MODEL.NECK.LEVELS", "[3, 7]"),
    *("MODEL.HEAD.NORM", "none", "MODEL.HEAD.NUM_CONVS", "4"),
]


class OneConvolution(nn.Module):
    """As much of a detector as is counted."""

    size_divisibility = 16

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.idle = nn.ReLU()

    def predictions(self, images: Tensor, image_sizes: object) -> DensePredictions:
        logits = self.idle(self.body(images.float())).flatten(2)
        return DensePredictions([logits], [logits], [(16, 24)])


def test_counts_of_a_convolution_are_those_worked_by_hand() -> None:
    # 30 x 40 is padded to 32 x 48, and stride 2 leaves 16 x 24 places: with 8 channels each an activation, and for each
    # of these 3 * 3 * 3 multiply-adds. Parameters: 8 * 27 weights and 8 biases.
    activations = 16 * 24 * 8
    expected = (8 * 27 + 8, activations * 27, activations)
    assert count_by_part(OneConvolution(), (30, 40)) == [("body", *expected), ("total", *expected)]


def test_parts_sum_up_to_the_total() -> None:
    rows = count_by_part(build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "6"])), (64, 64))
    assert [row[0] for row in rows] == ["backbone", "neck", "head", "total"]
    for column in (1, 2, 3):
        assert sum(row[column] for row in rows[:-1]) == rows[-1][column]


def test_the_work_grows_with_the_area_and_the_parameters_do_not() -> None:
    model = build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "6"]))
    small, large = (count_by_part(model, size)[-1] for size in ((64, 64), (128, 192)))
    assert large[1] == small[1]
    assert large[2] == 6 * small[2]
    assert large[3] == 6 * small[3]


def test_resnet50_fpn_of_80_classes_has_the_parameters_of_torchvisions() -> None:
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    model = build_model(load_config("quick_start.yaml", R50))
    parameters = count_by_part(model, (64, 64))[-1][1]
    with torch.device("meta"):
        # as Detectron2 has it: P3 to P5, and P6 and P7 from C5
        extra = LastLevelP6P7(2048, 256)
        backbone = resnet_fpn_backbone(
            backbone_name="resnet50", weights=None, trainable_layers=5, returned_layers=[2, 3, 4], extra_blocks=extra
        )
        anchors = AnchorGenerator(((32, 40, 51),) * 5, ((0.5, 1.0, 2.0),) * 5)
        theirs = RetinaNet(backbone, num_classes=80, anchor_generator=anchors)
    assert parameters == sum(parameter.numel() for parameter in theirs.parameters())
    # the number often told of it has the constants of FrozenBN too, a scale and a shift for each of ResNet-50's 26,560 channels
    assert round((parameters + 2 * 26_560) / 1e6, 2) == 37.97


def test_the_table_says_what_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("analyze-model", ["--config-file", "tiny.yaml", "--size", "60", "64", "--num-classes", "6"]) == 0
    told = capsys.readouterr()
    assert told.err == ""  # no word of the libraries
    header, _, *rows, last = told.out.splitlines()
    assert header.split("  ")[0] == "part"
    assert "multiply-adds (G)" in header
    assert [row.split()[0] for row in rows] == ["backbone", "neck", "head", "total"]
    assert rows[0].split()[1] == "11,176,512"  # torchvision's resnet18 has 11,689,512, of which its classifier 513,000
    assert last == "RetinaNet, 6 classes, one image of 60 x 64 (padded to 64 x 64)"


def test_auto_classes_are_80(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("analyze-model", ["--config-file", "tiny.yaml", "--size", "64", "64"]) == 0
    assert "RetinaNet, 80 classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--size", "0", "64"], "--size: expected height and width of 1 or more, got 0 64"), (["--num-classes", "0"], "got 0")],
)
def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], more: list[str], message: str) -> None:
    assert run_command("analyze-model", ["--config-file", "tiny.yaml", *more]) == 2
    assert message in capsys.readouterr().err
