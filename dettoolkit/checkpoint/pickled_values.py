"""From the notes that were taken while a pickle was read to arrays, tensors, numbers and bytes."""

from __future__ import annotations

import io
import math
import pickle
import re
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dettoolkit.errors import CheckpointError

_PLAIN = {type(None), bool, int, float, str, bytes}
_NUMBERS = {"b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8", "c8", "c16"}


class Note:
    """A call that a pickle asked for: of what kind, with which arguments, and the state that it set afterwards."""

    __slots__ = ("arguments", "kind", "state")

    def __init__(self, kind: str, arguments: tuple[Any, ...]) -> None:
        self.kind, self.arguments, self.state = kind, arguments, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Resolver:
    """Turns what was read into values. Methods are named after the kinds of notes.

    Args:
        budget: bytes that all arrays and texts made out of notes may take together. A pickle can refer to the same bytes
            many times, but it has no more numbers than bytes.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._done: dict[int, Any] = {}

    def resolve(self, value: Any) -> Any:
        """Return ``value`` with values in place of notes.

        Raises:
            CheckpointError: something that is no plain data, or a tensor whose bytes ask for more.
            ValueError, TypeError, RuntimeError: arguments that no such value has.
        """
        if type(value) in _PLAIN:
            return value
        if id(value) not in self._done:
            self._done[id(value)] = self._done  # until it is made: what holds itself would meet this
            self._done[id(value)] = self._make(value)
        if self._done[id(value)] is self._done:
            raise ValueError("a value holds itself")
        return self._done[id(value)]

    def _make(self, value: Any) -> Any:
        if isinstance(value, Note):
            return getattr(self, value.kind)(value.state, *value.arguments)
        if isinstance(value, dict):
            return {self.resolve(key): self.resolve(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.resolve(item) for item in value)
        if isinstance(value, bytearray):
            return bytes(value)
        kind = type(value).__name__ if isinstance(value, (set, frozenset)) else "function or class"
        raise CheckpointError(f"there is a {kind} among its values")

    def array(self, state: Any, *empty: Any) -> np.ndarray:
        """Return a numpy array: ``_reconstruct`` and its state (version, shape, type, column-major, bytes)."""
        _, shape, kind, by_columns, content = state
        return self._of_bytes(content, kind, shape, "F" if by_columns else "C")

    def buffer(self, state: Any, content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
        """Return a numpy array of protocol 5."""
        return self._of_bytes(content, kind, shape, order)

    def scalar(self, state: Any, kind: Any, content: Any) -> int | float | complex | bool:
        """Return a number of numpy as one of Python."""
        return self._of_bytes(content, kind, (), "C").item()

    def dtype(self, state: Any, code: Any, *flags: Any) -> np.dtype:
        """Return a data type; numbers only: objects would be a pickle of their own."""
        code, order = str(code).lstrip("<>=|"), state[1] if state is not None else "="
        if code not in _NUMBERS or order not in ("<", ">", "=", "|") or (state is not None and any(state[2:5])):
            raise CheckpointError(f"there is an array of {code!r} among its values, which are no numbers")
        return np.dtype(order + code)

    def text(self, state: Any, words: Any, encoding: Any) -> bytes:
        """Return the bytes that protocols before 3 write as text."""
        if encoding != "latin1" or not isinstance(words, str):
            raise ValueError(f"bytes are written as text in Latin-1, not as {type(words).__name__} in {encoding!r}")
        self._spend(len(words))
        return words.encode("latin1")

    def raw(self, state: Any, content: Any = b"", *encoding: Any) -> bytes:
        """Return bytes: of none, of bytes, or of text in an encoding; never of a number, which would be a length."""
        if encoding:
            return self.text(state, content, "latin1" if encoding == ("latin-1",) else encoding[0])
        content = self.resolve(content)
        if not isinstance(content, bytes):
            raise ValueError(f"bytes of a {type(content).__name__}")
        return content

    def storage(self, state: Any, content: Any) -> Tensor:
        """Return the flat tensor that torch wrote into a plain pickle: a file of torch.save of its own."""
        content = self.resolve(content)
        self._spend(len(content))
        try:
            stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            wanted = re.findall(r"GLOBAL ([\w.]+)", str(error))[:1]
            raise CheckpointError(f"the bytes of a tensor in it ask for {(wanted or ['more'])[0]}") from None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "TypedStorage is deprecated", UserWarning)  # it is what torch writes all the same
            return torch.empty(0, dtype=stored.dtype).set_(stored.untyped())

    def tensor(self, state: Any, storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Tensor:
        """Return a tensor that shares its storage; torch refuses one that reaches out of it."""
        flat = self.resolve(storage)
        if math.prod(size) > flat.numel():  # with strides of 0 it could be of any size
            raise ValueError(f"a tensor of shape {size} in a storage of {flat.numel()}")
        return flat.as_strided(size, stride, offset)

    def parameter(self, state: Any, data: Any, *rest: Any) -> Tensor:
        """Return a parameter as the tensor that it is."""
        return self.resolve(data)

    def _of_bytes(self, content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
        """Return an array that owns its memory, in the byte order of this machine."""
        kind, content = self.resolve(kind), self.resolve(content)
        content = content.encode("latin1") if isinstance(content, str) else content  # Python 2 has one type for both
        if not isinstance(kind, np.dtype) or not isinstance(content, bytes) or order not in ("C", "F"):
            raise ValueError("an array of no bytes, of no type or in no order")
        if any(type(side) is not int or side < 0 for side in shape) or math.prod(shape) * kind.itemsize != len(content):
            raise ValueError(f"{len(content)} bytes for an array of shape {shape} and type {kind}")
        self._spend(len(content))
        array = np.frombuffer(bytearray(content), kind, math.prod(shape)) if content else np.empty(0, kind)
        return array.reshape(shape, order=order).astype(kind.newbyteorder("="), copy=False)

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise ValueError("more values than the file has bytes")
