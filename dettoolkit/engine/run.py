"""A run from its config: the parts of data, model and solver handed to the trainer."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.checkpoint import load_pretrained, load_weights
from dettoolkit.config import dump_config
from dettoolkit.data import build_dataset, build_train_dataset, check_same_classes
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.loader import TrainLoader, build_test_loader, build_train_loader
from dettoolkit.distributed import is_main_process, process_device, rank, world_size, wrap_ddp
from dettoolkit.engine.checkpointing import Checkpointer
from dettoolkit.engine.evaluating import DatasetEvaluation
from dettoolkit.engine.hooks.evaluation import evaluate_all
from dettoolkit.engine.hooks.report import write_run_report
from dettoolkit.engine.logs import set_up_logging
from dettoolkit.engine.readiness import check_ready_to_train
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.modeling import build_model
from dettoolkit.registry import EVALUATORS, HOOKS, OPTIMIZERS
from dettoolkit.solver import build_schedule, scale_learning_rate
from dettoolkit.structures import Duration

logger = logging.getLogger(__name__)


@dataclass
class Run:
    """What training and evaluation both need.

    Args:
        cfg: complete, with the number of classes.
        folder: where everything is written.
        device: of this process.
        model: on ``device``, random weights.
        train_dataset: of ``DATASETS.TRAIN``, or None where only evaluation is wanted and there is none.
        evaluations: one for each of ``DATASETS.TEST``.
    """

    cfg: CfgNode
    folder: RunFolder
    device: torch.device
    model: nn.Module
    train_dataset: DetectionDataset | None
    evaluations: list[DatasetEvaluation]

    @property
    def config_text(self) -> str:
        """The resolved config as YAML."""
        return dump_config(self.cfg)


def train(cfg: CfgNode, resume: bool = False) -> dict[str, float]:
    """Train and evaluate as ``cfg`` says; in several processes, each calls it.

    Args:
        cfg: from :func:`dettoolkit.config.load_config`.
        resume: go on from the newest checkpoint of ``OUTPUT_DIR``.

    Returns:
        The numbers of the last evaluation; empty without one.

    Raises:
        DettoolkitError: the config, the data or a weight file cannot be used, or training broke off.
    """
    run = _prepare(cfg, resume=resume)
    assert run.train_dataset is not None
    if not resume:
        load_pretrained(run.model, run.cfg)
    check_ready_to_train(run.model, run.cfg, run.device, resume)
    trainer, checkpointer = _build_trainer(run, run.train_dataset)
    if is_main_process():
        (run.folder.path / "config.yaml").write_text(run.config_text, encoding="utf-8")
    if resume:
        checkpointer.resume(trainer)
    trainer.train()
    if is_main_process():
        logger.info("the run is in %s", run.folder.path)
    return trainer.latest_evaluation


def evaluate(cfg: CfgNode, resume: bool = True) -> dict[str, float]:
    """Evaluate the weights of ``MODEL.WEIGHTS``, or else of the run folder's newest checkpoint.

    Args:
        cfg: from :func:`dettoolkit.config.load_config`.
        resume: whether the run folder's checkpoint may be taken.

    Returns:
        The numbers, with the names that ``metrics.jsonl`` has.

    Raises:
        DettoolkitError: there are no weights, or they do not fit.
    """
    run = _prepare(cfg, resume=False, evaluate_only=True)
    newest = run.folder.newest_checkpoint() if resume else None
    weights = run.cfg.MODEL.WEIGHTS or (newest and str(newest))
    if not weights:
        raise CheckpointError(f"--eval-only: MODEL.WEIGHTS is empty and {run.folder.checkpoints} holds no checkpoint.")
    if not run.evaluations:
        raise ConfigError("--eval-only: DATASETS.TEST is empty: there is nothing to evaluate on.")
    load_weights(run.model, weights)
    logger.info("evaluating %s", weights)
    numbers = evaluate_all(run.evaluations, run.model, run.device, run.folder)
    write_run_report(run.folder.path, run.evaluations, run.config_text)
    return numbers


def _prepare(cfg: CfgNode, resume: bool, evaluate_only: bool = False) -> Run:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.OUTPUT_DIR = cfg.OUTPUT_DIR or "runs/run"
    folder = RunFolder.open(cfg.OUTPUT_DIR, resume, evaluate_only)
    cfg.OUTPUT_DIR = str(folder.path)
    set_up_logging(folder.path)
    _seed(cfg.SEED)
    device = process_device(cfg.MODEL.DEVICE)
    train_dataset = build_train_dataset(cfg) if cfg.DATASETS.TRAIN or not evaluate_only else None
    test_datasets = [build_dataset(cfg, name) for name in cfg.DATASETS.TEST]
    infos = [dataset.info for dataset in [train_dataset, *test_datasets] if dataset is not None]
    for info in infos[1:]:
        check_same_classes(infos[0], info)
    if cfg.MODEL.NUM_CLASSES == "auto" and infos:
        cfg.MODEL.NUM_CLASSES = infos[0].num_classes
    elif infos and cfg.MODEL.NUM_CLASSES != infos[0].num_classes:
        raise ConfigError(
            f"MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}, but {infos[0].name} has {infos[0].num_classes} classes "
            f"({', '.join(infos[0].class_names)}). auto takes the number from the data set."
        )
    cfg.freeze()
    model = build_model(cfg).to(device, memory_format=torch.channels_last if cfg.MODEL.CHANNELS_LAST else torch.contiguous_format)
    evaluations = [_build_evaluation(cfg, dataset, model, device) for dataset in test_datasets]
    return Run(cfg, folder, device, model, train_dataset, evaluations)


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (third-party transforms draw from the global state)
    torch.manual_seed(seed)


def _loading(cfg: CfgNode, model: nn.Module, device: torch.device) -> dict[str, Any]:
    """Return what both loaders are built with."""
    return {
        "pad_to": cfg.DATALOADER.PAD_TO,
        "divisibility": getattr(model, "size_divisibility", 1),
        "rank": rank(),
        "world_size": world_size(),
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
        "pin_memory": device.type == "cuda",
        "plugins": cfg.PLUGINS,
    }


def _build_evaluation(cfg: CfgNode, dataset: DetectionDataset, model: nn.Module, device: torch.device) -> DatasetEvaluation:
    batch_size = cfg.EVALUATION.BATCH_SIZE or max(1, cfg.SOLVER.BATCH_SIZE // (world_size() * cfg.SOLVER.ACCUMULATE))
    # test images have sizes of their own: what training batches are padded to need not hold them
    loading = _loading(cfg, model, device) | {"pad_to": None}
    loader = build_test_loader(dataset, cfg.DATASETS.TEST_TRANSFORMS, batch_size=batch_size, **loading)
    nodes = enumerate(cfg.EVALUATION.EVALUATORS)
    evaluators = [EVALUATORS.build(node, f"EVALUATION.EVALUATORS.{index}", info=dataset.info) for index, node in nodes]
    return DatasetEvaluation(dataset, loader, evaluators, cfg.EVALUATION.LOSS, cfg.SOLVER.AMP)


def _build_trainer(run: Run, dataset: DetectionDataset) -> tuple[Trainer, Checkpointer]:
    cfg, solver = run.cfg, run.cfg.SOLVER
    loader: TrainLoader = build_train_loader(
        dataset,
        cfg.DATASETS.TRAIN_TRANSFORMS,
        global_batch_size=solver.BATCH_SIZE,
        seed=cfg.SEED,
        accumulate=solver.ACCUMULATE,
        sampler_node=cfg.DATALOADER.SAMPLER,
        **_loading(cfg, run.model, run.device),
    )
    epoch = loader.batches_per_epoch
    num_iterations = Duration.parse(solver.LENGTH).iterations(epoch)
    rate = scale_learning_rate(solver.BASE_LR, solver.BATCH_SIZE, solver.REFERENCE_BATCH_SIZE)
    optimizer = OPTIMIZERS.build(solver.OPTIMIZER, "SOLVER.OPTIMIZER", model=run.model, lr=rate)
    checkpointer = Checkpointer(run.folder, run.config_text, dataset.info)
    wired = {
        "schedule": build_schedule(solver, num_iterations, epoch),
        "checkpointer": checkpointer,
        "evaluations": run.evaluations,
        "evaluation_period": Duration.parse(cfg.EVALUATION.PERIOD),
        "run_folder": run.folder,
        "folder": str(run.folder.path),
        "config_text": run.config_text,
    }
    trainer = Trainer(
        run.model,
        wrap_ddp(run.model, run.device),
        optimizer,
        loader,
        [HOOKS.build(node, f"HOOKS.{index}", **wired) for index, node in enumerate(cfg.HOOKS)],
        device=run.device,
        num_iterations=num_iterations,
        iterations_per_epoch=epoch,
        accumulate=solver.ACCUMULATE,
        amp=solver.AMP,
        clip_gradient_norm=solver.CLIP_GRADIENT_NORM,
    )
    logger.info("%d images, %d iterations of %d images (%d an epoch)", len(dataset), num_iterations, solver.BATCH_SIZE, epoch)
    return trainer, checkpointer
