"""Parameters by patterns of their names."""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import nn

from dettoolkit.errors import ConfigError, did_you_mean, listed


def matching(model: nn.Module, pattern: str, key: str) -> list[str]:
    """Return the names of the parameters that a pattern matches, in the order of the model.

    Args:
        model: the parameters' owner.
        pattern: a name as ``state_dict`` has it, in which ``*`` stands for any characters, dots too, ``?`` for one, and
            ``[ab]`` for one of these.
        key: where the pattern stands in the config, for messages.

    Raises:
        ConfigError: it matches nothing; the message has the nearest name and the parts that there are.
    """
    names = [name for name, _ in model.named_parameters()]
    found = [name for name in names if fnmatchcase(name, pattern)]
    if found:
        return found
    parts = dict.fromkeys(".".join(name.split(".")[:depth]) for depth in range(1, 8) for name in names)
    hint = f" Did you mean '{pattern}.*'?" if pattern in parts else did_you_mean(pattern.strip("*."), parts)
    first = listed(dict.fromkeys(".".join(name.split(".")[:2]) for name in names))
    raise ConfigError(f"{key}: no parameter of {type(model).__name__} is called {pattern!r}.{hint} It has: {first}.")
