"""torch.compile in place: a network or a loss runs compiled, and names of weights, hooks and wrappers stay what they were."""

from __future__ import annotations

import contextlib
import copy
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from dettoolkit.errors import ConfigError

logger = logging.getLogger(__name__)

# what sides of batches are rounded up to: each shape is compiled for itself, and what is computed in padding is for nothing.
# Training sees more sizes than inference.
TRAINING_MULTIPLE, INFERENCE_MULTIPLE = 128, 64

_MAX_SHAPES = 32
_MAX_COMPILATIONS = 4 * _MAX_SHAPES  # of one function, by all models of the process


class CompiledNetwork:
    """The network of a model, compiled for each shape of its input when that first comes.

    It stands in for the method ``network`` of one model and takes the weights from the model at each call, so that state
    dicts, hooks, wrappers and the optimizer see no difference, and a copy of the model computes with its own weights.

    Args:
        model: has a method ``network(x)``: normalised images ``[N, C, H, W]`` -> dense predictions.
        key: what the user set, for messages: ``MODEL.COMPILE``.
        only_in_training: run the method as it is while the model is in evaluation mode: test images have sizes of their own.
        freeze: have weights in the code as constants; they must not change any more, and there are no gradients.
        backend: of ``torch.compile``.
        max_shapes: how many shapes are compiled; further ones run as they are, and the log says so.

    Raises:
        ConfigError: the model has no such method.
    """

    def __init__(
        self,
        model: nn.Module,
        key: str,
        *,
        only_in_training: bool = False,
        freeze: bool = False,
        backend: str = "inductor",
        max_shapes: int = _MAX_SHAPES,
    ) -> None:
        network = getattr(type(model), "network", None)
        if network is None:
            raise ConfigError(f"{key}: {type(model).__name__} has no method network(x) that could be compiled.")
        self._model, self._key, self._freeze = model, key, freeze
        self._only_in_training, self._max_shapes = only_in_training, max_shapes
        # the method of the class, not of this model: torch.compile then sees the model as an argument
        self._network: Callable[[Any, Tensor], Any] = network
        self._compiled = torch.compile(network, dynamic=False, backend=backend)
        self._told = False
        self.seconds: dict[tuple[Any, ...], float] = {}

    @property
    def num_shapes(self) -> int:
        """How many shapes have been compiled; ``seconds`` says by shape what each first call took."""
        return len(self.seconds)

    def __call__(self, x: Tensor) -> Any:
        """Return what the method returns for ``x [N, C, H, W]``.

        Raises:
            ConfigError: it cannot be compiled; the message has the cause.
        """
        if self._only_in_training and not self._model.training:
            return self._network(self._model, x)
        case = (*x.shape, x.dtype, torch.is_autocast_enabled(x.device.type), torch.is_grad_enabled(), self._model.training)
        if case in self.seconds:
            with compilation(self._key):
                return self._compiled(self._model, x)
        if self.num_shapes >= self._max_shapes:
            self._tell_limit()
            return self._network(self._model, x)
        return self._first(x, case)

    def _first(self, x: Tensor, case: tuple[Any, ...]) -> Any:
        from torch._inductor import config

        started = time.perf_counter()
        with compilation(self._key), config.patch(freezing=self._freeze):
            result = self._compiled(self._model, x)
        self.seconds[case] = time.perf_counter() - started
        size, progress = (len(x), *x.shape[-2:]), (self.seconds[case], self.num_shapes, self._max_shapes)
        logger.info("compiling for %d x %d x %d took %.1f s (shape %d of at most %d)", *size, *progress)
        return result

    def _tell_limit(self) -> None:
        if not self._told:
            logger.warning(
                "%s: %d shapes of batches are compiled, and further ones run uncompiled. Batches that are padded to fewer "
                "sizes (in training by DATALOADER.PAD_TO) need fewer shapes.",
                *(self._key, self._max_shapes),
            )
        self._told = True


class CompiledLoss:
    """A loss compiled for tensors of any length; without gradients, as in evaluation, it runs as it is.

    Args:
        loss: a component of LOSSES; what it says of itself is passed on.
        key: what the user set, for messages.
        backend: of ``torch.compile``.
    """

    def __init__(self, loss: Any, key: str, backend: str = "inductor") -> None:
        self._loss, self._key = loss, key
        self._compiled = torch.compile(type(loss).__call__, dynamic=True, backend=backend)

    def __call__(self, *arguments: Any, **options: Any) -> Tensor:
        """Return what the loss returns.

        Raises:
            ConfigError: it cannot be compiled; the message has the cause.
        """
        if not torch.is_grad_enabled():
            return self._loss(*arguments, **options)
        with compilation(self._key):
            return self._compiled(self._loss, *arguments, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not there yet, as while being copied
            raise AttributeError(name)
        return getattr(self._loss, name)


def compile_for_training(model: Any, key: str, with_loss: bool, device: torch.device, backend: str = "inductor") -> None:
    """Compile the network of a model in place, on request its criterion's classification loss too.

    That loss is all that is dense of a criterion: matching depends on how many boxes there are, and box losses look at few
    anchors; they stay as they are. So does a loss that is a module: parameters of its own would get other names.

    Args:
        model: has a method ``network(x)``, and for the loss a ``criterion`` with a ``classification_loss``.
        key: what the user set, for messages.
        with_loss: whether to compile the classification loss.
        device: of the model.
        backend: of ``torch.compile``.

    Raises:
        ConfigError: nothing can be compiled on this machine, or not this model.
    """
    # torch looks at the gradients of what goes on after a part that cannot be traced, and warns of its own look
    warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf Tensor", UserWarning)
    check_compiler(device, key, backend)
    model.network = CompiledNetwork(model, key, only_in_training=True, backend=backend)
    if with_loss:
        criterion: Any = getattr(model, "criterion", None)
        loss = getattr(criterion, "classification_loss", None)
        if loss is None:
            raise ConfigError(f"{key}: step compiles a criterion's classification_loss, and {type(model).__name__} has none.")
        if not isinstance(loss, nn.Module):
            criterion.classification_loss = CompiledLoss(loss, key, backend)


def compiled_for_inference(model: Any, key: str, device: torch.device, backend: str = "inductor") -> Any:
    """Return a copy of a model whose network is compiled with its weights as constants.

    Args:
        model: has a method ``network(x)``; in evaluation mode, with weights that stay.
        key: what the user set, for messages.
        device: of the model.
        backend: of ``torch.compile``.

    Raises:
        ConfigError: nothing can be compiled on this machine, or not this model.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{key}: {type(model).__name__} is no PyTorch module that could be compiled.")
    check_compiler(device, key, backend)
    compiled: Any = copy.deepcopy(model)
    compiled.network = CompiledNetwork(compiled, key, freeze=True, backend=backend)
    return compiled


def check_compiler(device: torch.device, key: str, backend: str = "inductor") -> None:
    """Compile a function of one line, so that a machine without a working compiler is known before anything else is done.

    Raises:
        ConfigError: it cannot be compiled; the message has the cause.
    """
    compiled = torch.compile(_of_one_line, dynamic=False, backend=backend)
    with compilation(key):
        compiled(torch.zeros(8, device=device))


def _of_one_line(x: Tensor) -> Tensor:
    return x.sin() + 1


@contextlib.contextmanager
def compilation(key: str) -> Iterator[None]:
    """Run what may have to be compiled: no silent way back to uncompiled code, and errors that name ``key``.

    Raises:
        ConfigError: the compiler fails, or what it compiles changes so much that it would compile again and again.
    """
    from torch._dynamo import config as dynamo
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch._functorch import config as functorch

    try:
        with (
            dynamo.patch(recompile_limit=_MAX_COMPILATIONS, fail_on_recompile_limit_hit=True),
            functorch.patch(force_non_lazy_backward_lowering=True),  # so that its time and its errors are seen here
        ):
            yield
    except FailOnRecompileLimitHit as error:
        raise ConfigError(
            f"{key}: a part of the model was compiled {_MAX_COMPILATIONS} times and would have to be compiled again: Python "
            f"values in it change from call to call. TORCH_LOGS=recompiles says which. Without {key} it runs uncompiled."
        ) from error
    except TorchDynamoException as error:
        raise ConfigError(f"{key}: torch.compile failed: {_cause(error)}. Without {key} it runs uncompiled.") from error


def _cause(error: BaseException) -> str:
    """Return the class and the first line of what failed first."""
    inner = getattr(error, "inner_exception", None) or error.__cause__ or error
    line = next((line for line in str(inner).splitlines() if line.strip()), "")
    return f"{type(inner).__name__}: {line.strip().rstrip('.')}"
