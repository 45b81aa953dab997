"""The order of hooks: one that needs what another leaves with the trainer stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dettoolkit.errors import ConfigError, listed

if TYPE_CHECKING:
    from dettoolkit.engine.hooks.hook import Hook


def check_order(hooks: Sequence[Hook]) -> None:
    """Refuse a hook before one that it needs.

    Raises:
        ConfigError: says which, and where it belongs.
    """
    names = [hook.name for hook in hooks]
    for place, hook in enumerate(hooks):
        later = [name for name in hook.stands_after if name in names[place + 1 :]]
        if later:
            raise ConfigError(
                f"HOOKS.{place}: {hook.name} stands before {listed(later)}, whose work it would not see: hooks are called in "
                "the order of the list. Put it behind."
            )
