"""Training and evaluation: the trainer, its hooks and writers, and what puts a run together from a config."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dettoolkit.engine.run import evaluate, train

__all__ = ["evaluate", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from dettoolkit.engine import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
