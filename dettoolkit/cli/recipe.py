"""Propose batch, accumulation, learning rate, warm-up and length for a machine and a data set, and say why.

python tools/recipe.py --config-file configs/quick_start.yaml
python tools/recipe.py --config-file my.yaml --num-gpus 4 --memory 24
python tools/recipe.py --config-file my.yaml --num-gpus 8 --memory 16 --images 50000 --size 800 1344

What is printed is a config, with the reasons as comments: write it to a file and train with it. Nothing is trained here;
the memory of a step is measured on small images and scaled. With both --images and --size the data set need not be there.
"""

from __future__ import annotations

import argparse
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any

from dettoolkit.errors import ConfigError

_CLASSES = 80  # where neither config nor data say how many
_SAMPLE = 300  # images, whose sizes are looked at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument("--num-gpus", type=int, default=1, metavar="N", help="training processes (default: 1)")
    parser.add_argument("--memory", type=float, metavar="GIB", help="of each GPU, or process (default: what this machine has)")
    parser.add_argument("--images", type=int, metavar="N", help="of the training set (default: counted)")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="of the images after the transforms (default: the largest of 300)"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. SOLVER.AMP bf16")


def run(arguments: argparse.Namespace) -> None:
    """Print the recipe."""
    from dettoolkit.config import load_config
    from dettoolkit.diagnosis.recipe import GIB, has_batch_norm, propose, step_memory, to_yaml
    from dettoolkit.modeling import build_model

    _check(arguments)
    cfg = load_config(arguments.config_file, arguments.overrides)
    images, size, num_classes = _data(cfg, arguments)
    cfg.MODEL.NUM_CLASSES = num_classes
    model = build_model(cfg)
    divisor = int(getattr(model, "size_divisibility", 1))
    padded = (-(-size[0] // divisor) * divisor, -(-size[1] // divisor) * divisor)
    machine = _machine(cfg, arguments)
    if machine.is_gpu and cfg.SOLVER.AMP == "none" and "SOLVER.AMP" not in arguments.overrides[::2]:
        cfg.SOLVER.AMP = "bf16"
    states = 2 if "Adam" in cfg.SOLVER.OPTIMIZER.NAME else 1
    memory = step_memory(model, padded, cfg.SOLVER.AMP, states, machine.is_gpu)
    recipe = propose(cfg, machine, images, padded, memory, has_batch_norm(list(model.modules())))
    heading = (
        f"For {images:,} images on {machine.processes} process(es) with {machine.memory / GIB:.1f} GiB each. Memory is what "
        f"autograd keeps, measured on small images and scaled to {padded[0]} x {padded[1]} pixels, and a quarter more."
    )
    if arguments.overrides:
        heading += f" To be given again: {shlex.join(arguments.overrides)}"
    text = to_yaml(recipe, _base(arguments.config_file), heading)
    _load(text, arguments.overrides)
    print(text, end="")


def _check(arguments: argparse.Namespace) -> None:
    for name, value in (("--num-gpus", arguments.num_gpus), ("--images", arguments.images)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected 1 or more, got {value}.")
    if arguments.memory is not None and not arguments.memory > 0:
        raise ConfigError(f"--memory: expected GiB above 0, got {arguments.memory}.")
    if arguments.size is not None and min(arguments.size) < 1:
        raise ConfigError(f"--size: expected height and width of 1 or more, got {arguments.size[0]} {arguments.size[1]}.")


def _data(cfg: Any, arguments: argparse.Namespace) -> tuple[int, tuple[int, int], int]:
    """Return the number of images, the (height, width) of the largest, and the number of classes."""
    if arguments.images is not None and arguments.size is not None:
        number = _CLASSES if cfg.MODEL.NUM_CLASSES == "auto" else cfg.MODEL.NUM_CLASSES
        return arguments.images, tuple(arguments.size), number
    from dettoolkit.data import build_train_dataset
    from dettoolkit.diagnosis.anchors.boxes import sampled_images, transformed_boxes

    dataset = build_train_dataset(cfg)
    indices = sampled_images(dataset.records.num_boxes, None, cfg.SEED, _SAMPLE)
    sizes = transformed_boxes(cfg, dataset.records, indices).sizes
    height, width = sizes[int(sizes.prod(1).argmax())].tolist()
    size = tuple(arguments.size) if arguments.size is not None else (height, width)
    return arguments.images or len(dataset), size, dataset.info.num_classes


def _machine(cfg: Any, arguments: argparse.Namespace) -> Any:
    """Return the machine that the arguments describe, and this one where they say nothing."""
    import torch

    from dettoolkit.diagnosis.recipe import GIB, Machine

    has_gpu = torch.cuda.is_available() and cfg.MODEL.DEVICE not in ("cpu", "mps")
    # memory that is named is that of GPUs, wherever the question is asked
    is_gpu = cfg.MODEL.DEVICE != "cpu" and (has_gpu or arguments.memory is not None)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if arguments.memory is not None:
        memory = arguments.memory * GIB
    elif has_gpu:
        memory = min(torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count()))
    elif hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / arguments.num_gpus
    else:
        raise ConfigError("--memory: this system does not say how much memory it has; give it in GiB.")
    return Machine(arguments.num_gpus, memory, cores, is_gpu)


def _base(config_file: str) -> str:
    """Return what ``_BASE_`` calls the config from any folder."""
    from dettoolkit.config import config_files
    from dettoolkit.config.files import find_config

    path = find_config(config_file).resolve()
    return next((name for name, file in config_files().items() if file.resolve() == path), str(path))


def _load(text: str, overrides: list[str]) -> None:
    """Load what will be printed: a recipe that does not load would be a bug."""
    from dettoolkit.config import load_config

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "recipe.yaml")
        file.write_text(text, encoding="utf-8")
        load_config(file, overrides)
