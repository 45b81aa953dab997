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

from dettoolkit.checkpoint import fetch, load_pretrained, load_weights
from dettoolkit.config import dump_config
from dettoolkit.data import build_dataset, build_train_dataset
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.loader import TrainLoader, build_test_loader, build_train_loader
from dettoolkit.distributed import is_main_process, process_device, rank, world_size, wrap_ddp
from dettoolkit.engine.analysing import wish_of
from dettoolkit.engine.checkpointing import Checkpointer
from dettoolkit.engine.class_weights import with_class_weights, with_class_weights_of
from dettoolkit.engine.classes import classes_of_checkpoint, num_classes, tell_other_classes
from dettoolkit.engine.evaluating import DatasetEvaluation, evaluate_all
from dettoolkit.engine.failures import log_let_go, logged_failure, taken_back
from dettoolkit.engine.hooks.profile import Profile
from dettoolkit.engine.hooks.report import write_run_report
from dettoolkit.engine.readiness import check_ready_to_train, tell_about_anchors, tell_about_data, tell_other_settings
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError
from dettoolkit.inference.merging import build_views
from dettoolkit.modeling import build_model
from dettoolkit.modeling.compiling import TRAINING_MULTIPLE, compile_for_training
from dettoolkit.modeling.layers import synchronise_on_host
from dettoolkit.registry import EVALUATORS, HOOKS, OPTIMIZERS
from dettoolkit.solver import build_schedule, freeze, scale_learning_rate, set_layer_rates
from dettoolkit.structures import DatasetInfo, Duration

logger = logging.getLogger(__name__)

_OUTPUT_DIR = "runs/run"


@dataclass
class Run:
    """What training and evaluation both need.

    Args:
        cfg: complete, with the number of classes.
        folder: where everything is written.
        device: of this process.
        model: on ``device``, random weights.
        evaluations: one for each of ``DATASETS.TEST``.
    """

    cfg: CfgNode
    folder: RunFolder
    device: torch.device
    model: nn.Module
    evaluations: list[DatasetEvaluation]

    @property
    def config_text(self) -> str:
        """The resolved config as YAML."""
        return dump_config(self.cfg)


def train(cfg: CfgNode, resume: bool = False, offline: bool = False, profile: bool = False) -> dict[str, float]:
    """Train and evaluate as ``cfg`` says; in several processes, each calls it.

    Args:
        cfg: from :func:`dettoolkit.config.load_config`.
        resume: go on from the newest checkpoint of ``OUTPUT_DIR``.
        offline: never use the network; weights are files, or downloaded already.
        profile: write where the time of a step goes, see :class:`~dettoolkit.engine.hooks.Profile`.

    Returns:
        The numbers of the last evaluation; empty without one.

    Raises:
        DettoolkitError: the config, the data or a weight file cannot be used, or training broke off.
    """
    folder = RunFolder.for_training(cfg.OUTPUT_DIR or _OUTPUT_DIR, resume)
    with taken_back(folder):
        trainer = ready_to_train(cfg, folder, offline)
        if profile:
            trainer.hooks.insert(0, Profile(folder))
    with log_let_go():
        with logged_failure():
            trainer.train()
        logger.info("the run is in %s", folder.path)
        if trainer.stop_reason and trainer.iteration < trainer.num_iterations:
            logger.info(
                "it ended after %d of %d iterations: %s", trainer.iteration, trainer.num_iterations, trainer.stop_reason
            )
    return trainer.latest_evaluation


def ready_to_train(cfg: CfgNode, folder: RunFolder, offline: bool = False) -> Trainer:
    """Return the trainer of a run, with the state of its checkpoint where the folder is one to go on in.

    Args:
        cfg: of the run.
        folder: of the run.
        offline: never use the network.
    """
    dataset = build_train_dataset(cfg)
    run = _prepare(with_class_weights(cfg, dataset), folder, [dataset.info])
    if not folder.resumes:
        load_pretrained(run.model, run.cfg, offline)
        tell_other_classes(run.cfg.MODEL.WEIGHTS, dataset.info)
    if run.device.type != "cuda":
        synchronise_on_host(run.model)
    freeze(run.model, run.cfg.MODEL.FREEZE)
    check_ready_to_train(run.model, run.cfg, run.device, folder.resumes)
    if not folder.resumes:
        tell_about_data(dataset, [evaluation.dataset for evaluation in run.evaluations])
        tell_about_anchors(run.model, dataset, run.cfg)
    if run.cfg.MODEL.COMPILE != "none":
        compile_for_training(run.model, "MODEL.COMPILE", run.cfg.MODEL.COMPILE == "step", run.device)
    checkpointer = Checkpointer(folder, run.config_text, dataset.info)
    trainer = _build_trainer(run, dataset, checkpointer)
    if folder.resumes:
        logger.info("going on with the run in %s", folder.path)
        checkpointer.resume(trainer)
    if is_main_process():
        folder.write_config(run.config_text)
    return trainer


def evaluate(cfg: CfgNode, resume: bool = False, offline: bool = False) -> dict[str, float]:
    """Evaluate the weights of ``MODEL.WEIGHTS``, or of the run folder's newest checkpoint; in several processes, each calls it.

    What the run itself has written stays: a folder with a report gets the new one, the predictions and the config in the
    next free folder ``evaluation`` inside of it.

    Args:
        cfg: from :func:`dettoolkit.config.load_config`; ``DATASETS.TRAIN`` is not read.
        resume: take the run folder's checkpoint, even if there are ``MODEL.WEIGHTS``.
        offline: never use the network; weights are files, or downloaded already.

    Returns:
        The numbers, with the names that ``metrics.jsonl`` has.

    Raises:
        DettoolkitError: there are no weights or no data, or they do not fit together.
    """
    if not cfg.DATASETS.TEST:
        raise ConfigError("--eval-only: DATASETS.TEST is empty: there is nothing to evaluate on.")
    of_run = resume or not cfg.MODEL.WEIGHTS
    folder = RunFolder.for_evaluation(cfg.OUTPUT_DIR or _OUTPUT_DIR, of_run)
    weights = str(folder.newest_checkpoint()) if of_run else cfg.MODEL.WEIGHTS
    output = folder.for_another_evaluation()
    with taken_back(output):
        weights = str(fetch(weights, offline))
        run = _prepare(with_class_weights_of(cfg, weights), output, classes_of_checkpoint(weights))
        if of_run:
            tell_other_settings(run.cfg, folder)
        load_weights(run.model, weights)
    with log_let_go(), logged_failure():
        try:
            numbers = evaluate_all(run.evaluations, run.model, run.device, output)
        finally:
            for evaluation in run.evaluations:
                evaluation.close()
        write_run_report(output.path, run.evaluations, run.cfg, run.model)
    if is_main_process() and not output.config_file.exists():
        output.write_config(run.config_text)
    return numbers


def _prepare(cfg: CfgNode, folder: RunFolder, infos: list[DatasetInfo]) -> Run:
    """Build what a run needs; ``infos`` say the classes of what it learns from, where that is known."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.OUTPUT_DIR = str(folder.path)
    test_datasets = [build_dataset(cfg, name) for name in cfg.DATASETS.TEST]
    cfg.MODEL.NUM_CLASSES = num_classes(cfg, [*infos, *(dataset.info for dataset in test_datasets)])
    cfg.freeze()
    _seed(cfg.SEED)
    device = process_device(cfg.MODEL.DEVICE)
    memory_format = torch.channels_last if cfg.MODEL.CHANNELS_LAST else torch.contiguous_format
    model = build_model(cfg).to(device).to(memory_format=memory_format)
    evaluations = [_build_evaluation(cfg, dataset, model, device) for dataset in test_datasets]
    return Run(cfg, folder, device, model, evaluations)


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (third-party transforms draw from the global state)
    torch.manual_seed(seed)


def _loading(cfg: CfgNode, model: nn.Module, device: torch.device) -> dict[str, Any]:
    """Return what both loaders are built with."""
    return {
        "pad_to": cfg.DATALOADER.PAD_TO or (None if cfg.MODEL.COMPILE == "none" else TRAINING_MULTIPLE),
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
    views, merger = build_views(cfg.DATASETS, model)
    loader = build_test_loader(dataset, cfg.DATASETS.TEST_TRANSFORMS, batch_size=batch_size, views=views, **loading)
    nodes = enumerate(cfg.EVALUATION.EVALUATORS)
    evaluators = [EVALUATORS.build(node, f"EVALUATION.EVALUATORS.{index}", info=dataset.info) for index, node in nodes]
    wish = wish_of(cfg.EVALUATION.THRESHOLDS)
    return DatasetEvaluation(dataset, loader, evaluators, cfg.EVALUATION.LOSS, cfg.SOLVER.AMP, merger, wish)


def _build_trainer(run: Run, dataset: DetectionDataset, checkpointer: Checkpointer) -> Trainer:
    cfg, solver = run.cfg, run.cfg.SOLVER
    loader: TrainLoader = build_train_loader(
        dataset,
        cfg.DATASETS.TRAIN_TRANSFORMS,
        global_batch_size=solver.BATCH_SIZE,
        seed=cfg.SEED,
        accumulate=solver.ACCUMULATE,
        sampler_node=cfg.DATALOADER.SAMPLER,
        length=solver.LENGTH,
        **_loading(cfg, run.model, run.device),
    )
    epoch = loader.batches_per_epoch
    num_iterations = Duration.parse(solver.LENGTH).iterations(epoch)
    rate = scale_learning_rate(solver.BASE_LR, solver.BATCH_SIZE, solver.REFERENCE_BATCH_SIZE)
    optimizer = OPTIMIZERS.build(solver.OPTIMIZER, "SOLVER.OPTIMIZER", model=run.model, lr=rate)
    set_layer_rates(optimizer, run.model, solver.LAYER_RATES)
    wired = {
        "model": run.model,
        "schedule": build_schedule(solver, num_iterations, epoch),
        "checkpointer": checkpointer,
        "evaluations": run.evaluations,
        "evaluation_period": Duration.parse(cfg.EVALUATION.PERIOD),
        "run_folder": run.folder,
        "folder": str(run.folder.path),
        "config_text": run.config_text,
        "cfg": cfg,
        "train_dataset": dataset,
        "info": dataset.info,
    }
    logger.info("%d images, %d iterations of %d images (%d an epoch)", len(dataset), num_iterations, solver.BATCH_SIZE, epoch)
    return Trainer(
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
