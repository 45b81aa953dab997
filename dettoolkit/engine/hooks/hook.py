"""Hook: something that happens around the training steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from dettoolkit.engine.trainer import Trainer


class Hook:
    """The stages of a training; a hook overrides those that it needs.

    Hooks are called in the order of the config's list and know nothing of each other: what one has to say, it leaves
    with the trainer.

    Attributes:
        stands_after: names of hooks whose work it needs; one of these further down in the list is a mistake.
    """

    stands_after: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The name under which the state is kept in checkpoints."""
        return type(self).__name__

    def before_train(self, trainer: Trainer) -> None:
        """Called once, before the first step."""

    def before_step(self, trainer: Trainer) -> None:
        """Called before each step; ``trainer.iteration`` steps are done."""

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether :meth:`after_step` will read numbers of the step just done, save or evaluate.

        ``trainer.step_was_finite`` is up to date then; to know it after each step, a GPU would be waited for.
        """
        del trainer
        return False

    def after_step(self, trainer: Trainer) -> None:
        """Called after each step, which ``trainer.iteration`` counts already."""

    def after_train(self, trainer: Trainer) -> None:
        """Called once, after the last step; not after an exception."""

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Called when training ends with an exception; the hook must not raise another."""

    def state_dict(self) -> dict[str, Any]:
        """Return what must survive a stop; an empty dict for nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
