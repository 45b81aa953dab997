"""WRITERS: where the numbers of a training go; ``open(trainer)``, ``write(trainer, numbers)``, ``close()``."""

from dettoolkit.engine.writers.console import ConsoleWriter
from dettoolkit.engine.writers.json_lines import JSONLinesWriter
from dettoolkit.engine.writers.mlflow import MLflowWriter
from dettoolkit.engine.writers.tensorboard import TensorBoardWriter
from dettoolkit.engine.writers.wandb import WandbWriter

__all__ = ["ConsoleWriter", "JSONLinesWriter", "MLflowWriter", "TensorBoardWriter", "WandbWriter"]
