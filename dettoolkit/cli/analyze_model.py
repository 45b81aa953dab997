"""Count the parameters, multiply-adds and activations of a detector, part by part.

python tools/analyze_model.py --config-file configs/quick_start.yaml --size 800 1216
python tools/analyze_model.py --config-file my.yaml --num-classes 20 MODEL.HEAD.NUM_CONVS 2

For one image of that size, from the pixels to the head's output; losses and non-maximum suppression are not counted.
A multiply-add counts once, as fvcore and most papers have it: twice as many floating-point operations are done. Counted
are convolutions, matrix products, norms and upsampling; activations are the outputs of convolutions and matrix products.
Parameters are what can be learned: FrozenBN keeps its scales and shifts as constants, which are none.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

_DEFAULT_CLASSES = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(800, 1216),
        metavar=("H", "W"),
        help="height and width in pixels (default: 800 1216)",
    )
    parser.add_argument("--num-classes", type=int, metavar="K", help="in place of MODEL.NUM_CLASSES (where that is auto: 80)")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. MODEL.BACKBONE.DEPTH 50")


def run(arguments: argparse.Namespace) -> None:
    """Print the table."""
    from tabulate import tabulate

    from dettoolkit.config import load_config
    from dettoolkit.modeling import build_model

    height, width = arguments.size
    if min(height, width) < 1:
        raise ConfigError(f"--size: expected height and width of 1 or more, got {height} {width}.")
    cfg = load_config(arguments.config_file, arguments.overrides)
    if arguments.num_classes is not None:
        cfg.MODEL.NUM_CLASSES = arguments.num_classes
    elif cfg.MODEL.NUM_CLASSES == "auto":
        cfg.MODEL.NUM_CLASSES = _DEFAULT_CLASSES
    model = build_model(cfg).eval()
    rows = [
        (name, f"{parameters:,}", f"{flops / 1e9:.3f}", f"{activations / 1e6:.3f}")
        for name, parameters, flops, activations in count_by_part(model, (height, width))
    ]
    headers = ["part", "parameters", "multiply-adds (G)", "activations (M)"]
    print(tabulate(rows, headers, colalign=("left", "right", "right", "right"), disable_numparse=True))
    padded = " x ".join(str(side) for side in _padded(model, (height, width)))
    print(f"{type(model).__name__}, {cfg.MODEL.NUM_CLASSES} classes, one image of {height} x {width} (padded to {padded})")


def count_by_part(model: nn.Module, size: tuple[int, int]) -> list[tuple[str, int, int, int]]:
    """Return (part, parameters, multiply-adds, activations) of each part that has any, and of all together.

    Args:
        model: a detector with ``predictions(images, image_sizes)``.
        size: (height, width) of the image; it is padded as the loader does.
    """
    import torch

    with _quiet():
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis, parameter_count

        channels: int = getattr(getattr(model, "normalization", None), "num_channels", 3)
        images = torch.zeros(1, channels, *_padded(model, size), dtype=torch.uint8)
        network = _network(model, size)
        with torch.no_grad():
            analyses = [analysis(network, images) for analysis in (FlopCountAnalysis, ActivationCountAnalysis)]
            for analysis in analyses:
                # "unsupported" are additions and the like, which count nothing; "uncalled" is the criterion
                analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            flops, activations = (analysis.by_module() for analysis in analyses)
    parameters = parameter_count(model)
    parts = [name for name, _ in model.named_children()]
    rows = [(name, parameters[name], int(flops[f"model.{name}"]), int(activations[f"model.{name}"])) for name in parts]
    total = ("total", parameters[""], int(flops[""]), int(activations[""]))
    return [row for row in rows if any(row[1:])] + [total]


def _padded(model: nn.Module, size: tuple[int, int]) -> list[int]:
    divisor = int(getattr(model, "size_divisibility", 1))
    return [-(-side // divisor) * divisor for side in size]


def _network(model: Any, size: tuple[int, int]) -> nn.Module:
    """Return the model from images to a tuple of tensors, which is what can be traced."""
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Any) -> tuple[Any, ...]:
            predictions = self.model.predictions(images, [size])
            return (*predictions.logits, *predictions.deltas, *(predictions.quality or ()))

    return Network()


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # fvcore compiles a loss of its own when it is imported
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", DeprecationWarning)
        yield
