"""Turn weights of one toolkit into those of another, and tell what became of every tensor.

python tools/convert_checkpoint.py model_final.pkl retinanet.pth --from detectron2
python tools/convert_checkpoint.py runs/my_run/checkpoints/model_final.pth retinanet.pth --to torchvision

Toolkits: detectron2, torchvision, mmdetection, caffe2 (backbones of MSRA and FAIR), dettoolkit. The suffix of DST says what is
written: .pth, .safetensors, or .pkl (a pickle of numpy arrays). Training and load_weights take all these files as they are.

Nothing is written, and the exit code is 1, when a tensor has no place, one is missing, or DST would be another model.
What should be there is told by the names: a ResNet of a known depth, a pyramid without gaps, two towers of one length. With
--config-file it is the model of that config that the weights have to fit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import CheckpointError, listed

if TYPE_CHECKING:
    from torch import Tensor

    from dettoolkit.checkpoint.convert import Converted

_REFUSED = 1
# what the tensors do not say: the settings of a model here with weights from there, and of a model there with others
_SETTINGS = {
    "detectron2": (
        "configs/compat/detectron2_retinanet_r50_fpn_1x.yaml: BGR pixels, mean and std, STRIDE_IN_1X1, P6 of C5",
        "INPUT.FORMAT, MODEL.PIXEL_MEAN, PIXEL_STD and RESNETS.STRIDE_IN_1X1 as the model had them; P6 is of C5",
    ),
    "torchvision": (
        "configs/compat/torchvision_retinanet_resnet50_fpn.yaml or ..._v2.yaml: rounded anchors, P6 of P5 or of C5; "
        "MODEL.BACKBONE.NORM_EPSILON 0.0 for its published weights of the first",
        "RGB pixels, image_mean and image_std in 0..1; it rounds its anchors",
    ),
    "mmdetection": (
        "MODEL.NECK.RELU_BETWEEN_EXTRA_LEVELS false, unless its neck had relu_before_extra_convs=True; after style='caffe' BGR "
        "pixels, their mean, PIXEL_STD [1, 1, 1] and MODEL.BACKBONE.STRIDE_IN_1X1 true",
        "relu_before_extra_convs=True in its neck, unless the model had none; add_extra_convs='on_input' where P6 is of C5, "
        "'on_output' where it is of P5; style='caffe' after STRIDE_IN_1X1",
    ),
    "caffe2": (
        "BGR pixels with PIXEL_MEAN [103.53, 116.28, 123.675]; MSRA's R-50 and R-101 with PIXEL_STD [1, 1, 1] and "
        "MODEL.BACKBONE.STRIDE_IN_1X1 true",
        "pixels and STRIDE_IN_1X1 as the model had them",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    formats = ("detectron2", "torchvision", "mmdetection", "caffe2", "dettoolkit")
    parser.add_argument("source", metavar="SRC", help="a weight file, a URL, or torchvision://NAME")
    parser.add_argument("destination", metavar="DST", help="the file to write: .pth, .safetensors or .pkl")
    parser.add_argument("--from", dest="given", choices=formats, help="whose weights SRC holds (default: recognised)")
    parser.add_argument("--to", choices=formats, default="dettoolkit", help="whose weights to write (default: dettoolkit)")
    parser.add_argument(
        "--anchors",
        type=int,
        nargs=2,
        metavar=("SIZES", "RATIOS"),
        help="sizes and aspect ratios of the anchors at a location, where there are others than 3 x 3",
    )
    parser.add_argument("--config-file", metavar="FILE", help="the config of a model of ours that the weights have to fit")
    parser.add_argument("--force", action="store_true", help="overwrite DST if it is there")
    parser.add_argument("--allow-partial", action="store_true", help="write even if tensors are missing or have no place")
    parser.add_argument("--verbose", action="store_true", help="list every tensor")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="values of the config, e.g. MODEL.BACKBONE.DEPTH 50")


def run(arguments: argparse.Namespace) -> int:
    """Convert; return 0, or 1 when the conversion is refused."""
    from dettoolkit.checkpoint import fetch, read
    from dettoolkit.checkpoint.convert import convert
    from dettoolkit.checkpoint.weight_file import check_suffix, write_weights

    destination = Path(arguments.destination)
    check_suffix(destination)
    if destination.exists() and not (arguments.force and destination.is_file()):
        raise CheckpointError(f"{destination} is there; a file is overwritten with --force only.")
    if arguments.overrides and not arguments.config_file:
        raise CheckpointError(f"{listed(arguments.overrides)}: values are of a config; name it with --config-file.")
    data = read(fetch(arguments.source))
    model = _model_state(arguments, data) if arguments.config_file else None
    anchors = tuple(arguments.anchors) if arguments.anchors else None
    done = convert(data, arguments.source, arguments.to, arguments.given, anchors, model)
    print("\n".join(_report(done, arguments.verbose)))
    reasons = [*done.problems, *([] if done.is_whole or arguments.allow_partial else [_what_is_partial(done)])]
    if reasons:
        print(f"error: {destination} is not written: {'; '.join(reasons)}.", file=sys.stderr)
        return _REFUSED
    write_weights(destination, done.state, arguments.to)
    print(f"{destination} written: {len(done.state)} tensors")
    return 0


def _model_state(arguments: argparse.Namespace, data: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors, without memory, of the model of the config, with the classes of the weights where it has none."""
    import torch

    from dettoolkit.checkpoint.weight_source import recognise
    from dettoolkit.config import load_config
    from dettoolkit.modeling import build_model

    cfg = load_config(arguments.config_file, arguments.overrides)
    if cfg.MODEL.NUM_CLASSES == "auto":
        state = recognise(data, arguments.source).to_dettoolkit(arguments.anchors).state
        classification, box = (state.get(f"head.{layer}.bias", torch.ones(4)) for layer in ("classification", "box"))
        cfg.MODEL.NUM_CLASSES = max(1, len(classification) * 4 // len(box))
    with torch.device("meta"):
        return build_model(cfg).state_dict()


def _report(done: Converted, verbose: bool) -> list[str]:
    """Return lines on what was mapped, renamed, left over, filled in and missing."""
    changed = {old: new for old, new in done.renamed.items() if old != new}
    lines = [
        f"{done.source.name}: {done.source.kind} -> {done.target}",
        f"  mapped       {len(done.renamed)} of {len(done.source.state)} tensors",
        f"  renamed      {len(changed)}{_listing([f'{old} -> {new}' for old, new in changed.items()], verbose, 2)}",
        f"  left over    {len(done.unknown)} that no rule knows{_listing(done.unknown, verbose)}",
        *_by_reason("left over", "on purpose", done.left_over, verbose),
        *_by_reason("filled in", "that the file does not write", done.filled, verbose),
        f"  missing      {len(done.missing)}{_listing(done.missing, verbose)}",
    ]
    if done.source.beside:
        lines.append(f"  not weights  {listed(done.source.beside)}: stays behind")
    for name, side in ((done.source.format, 0), (done.target, 1)):
        if name in _SETTINGS:
            lines.append(f"  settings     {('from', 'for')[side]} {name}: {_SETTINGS[name][side]}")
    return lines


def _by_reason(title: str, words: str, reasons: Mapping[str, str], verbose: bool) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    return [
        f"  {title:<12} {len(names)} {words} ({reason}){_listing(names, verbose)}"
        for reason, names in sorted(by_reason.items())
    ]


def _listing(names: Collection[str], verbose: bool, limit: int = 4) -> str:
    if not names:
        return ""
    return "".join(f"\n                 {name}" for name in names) if verbose else f": {listed(names, limit)}"


def _what_is_partial(done: Converted) -> str:
    parts = []
    if done.unknown:
        parts.append(f"no rule knows {listed(done.unknown, 4)}")
    if done.missing:
        parts.append(f"{listed(done.missing, 4)} missing")
    return f"{' and '.join(parts)} (--allow-partial writes the rest)"
