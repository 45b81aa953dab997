"""A training that leaves nothing behind: the parts of a real one, in a folder that goes away."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fvcore.common.config import CfgNode

from dettoolkit.engine.run import ready_to_train
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError


def share_of_a_process(cfg: CfgNode, processes: int) -> CfgNode:
    """Return the config of what one of several processes does: its share of the batch, at the learning rate of the share.

    Args:
        cfg: of the whole training.
        processes: that train together.

    Raises:
        ConfigError: the batch cannot be divided evenly.
    """
    if processes < 1 or cfg.SOLVER.BATCH_SIZE % (processes * cfg.SOLVER.ACCUMULATE):
        raise ConfigError(
            f"--num-gpus: SOLVER.BATCH_SIZE {cfg.SOLVER.BATCH_SIZE} cannot be divided evenly among {processes} processes, in "
            f"{cfg.SOLVER.ACCUMULATE} part(s) each."
        )
    share = cfg.clone()
    share.defrost()
    share.SOLVER.REFERENCE_BATCH_SIZE = cfg.SOLVER.REFERENCE_BATCH_SIZE or cfg.SOLVER.BATCH_SIZE
    share.SOLVER.BATCH_SIZE = cfg.SOLVER.BATCH_SIZE // processes
    return share


@contextlib.contextmanager
def rehearsing(cfg: CfgNode, offline: bool = False, quiet: bool = False) -> Iterator[tuple[Trainer, RunFolder]]:
    """Yield a trainer as a run would have it, and its folder, which goes away with all that is in it.

    Args:
        cfg: of the training; its ``OUTPUT_DIR`` is not touched.
        offline: never use the network.
        quiet: whether warnings are not shown: of a second rehearsal they are the same.
    """
    logger = logging.getLogger("dettoolkit")
    level = logger.level
    logger.setLevel(logging.ERROR if quiet else logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(prefix="dettoolkit_", ignore_cleanup_errors=True) as place:
            folder = RunFolder.for_training(str(Path(place, "run")), resume=False)
            yield ready_to_train(cfg, folder, offline), folder
    finally:
        logger.setLevel(level)
