"""Starting the processes: here, or several by torch's elastic launcher, or not at all under ``torchrun``."""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dettoolkit import errors
from dettoolkit.distributed.devices import check_num_devices, process_device, share_threads
from dettoolkit.distributed.process_group import destroy, initialize, restart_count, under_launcher
from dettoolkit.errors import DettoolkitError, DistributedError

_TIMEOUT = timedelta(minutes=10)
_FREE_PORT = "localhost:0"
_TALKATIVE_LOGGERS = (
    "torch.distributed.elastic.multiprocessing.api",
    "torch.distributed.elastic.agent.server.api",
    "torch.distributed.launcher.api",
    "torch.multiprocessing.spawn",
    "torchelastic-events-null",
)


def launch(
    main: Callable[..., Any],
    arguments: Sequence[Any],
    num_gpus: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    max_restarts: int = 0,
    device: str = "auto",
    timeout: timedelta = _TIMEOUT,
) -> Any:
    """Call ``main(*arguments)`` once in each process of the training, and return what the first process here returns.

    One process on one machine is this one; under ``torchrun`` this process joins the group and starts no others.

    Args:
        main: a function of a module (new processes import it by name); it runs with the group joined.
        arguments: what it is called with; must be picklable.
        num_gpus: processes on this machine: one a GPU, or as many CPU processes when ``device`` is ``"cpu"``.
        num_machines: machines that take part, each started with the same command but its own ``machine_rank``.
        machine_rank: number of this machine, from 0.
        dist_url: ``tcp://HOST:PORT`` of machine 0; ``"auto"`` takes a free port and serves one machine.
        max_restarts: how often all processes are started again after one has failed.
        device: as in :func:`process_device`.
        timeout: how long processes and machines wait for each other.

    Raises:
        DettoolkitError: what the first process to fail raised, of the same class and with the same message.
        DistributedError: too few GPUs, an address that cannot be used, or a process that was killed.
        RuntimeError: any other exception of a process, with its traceback.
    """
    if under_launcher():
        return _join_and_call(main, arguments, device, timeout)
    check_num_devices(num_gpus, device)
    endpoint = _endpoint(num_machines, machine_rank, dist_url)
    if num_gpus == 1 and num_machines == 1 and not max_restarts:
        return main(*arguments)

    with tempfile.TemporaryDirectory(prefix="dettoolkit_launch_") as folder:
        config = _launch_config(num_gpus, num_machines, machine_rank, endpoint, max_restarts, timeout, folder)
        return _run_agent(config, Path(folder), (main, tuple(arguments), device, timeout, folder))


def _launch_config(
    num_gpus: int, num_machines: int, machine_rank: int, endpoint: str, max_restarts: int, timeout: timedelta, folder: str
) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    # restarts need c10d's rendezvous, which can be entered again; a given address alone needs only the static one
    static = endpoint != _FREE_PORT and not max_restarts
    rendezvous: dict[str, Any] = {"rank": machine_rank} if static else {"is_host": machine_rank == 0}
    return LaunchConfig(
        min_nodes=num_machines,
        max_nodes=num_machines,
        nproc_per_node=num_gpus,
        run_id="dettoolkit" if num_machines > 1 else uuid.uuid4().hex,
        rdzv_backend="static" if static else "c10d",
        rdzv_endpoint=endpoint,
        rdzv_configs={**rendezvous, "timeout": max(1, round(timeout.total_seconds()))},
        max_restarts=max_restarts,
        local_addr="127.0.0.1" if num_machines == 1 else None,  # a host name need not resolve
        logs_specs=DefaultLogsSpecs(log_dir=folder),
    )


def _endpoint(num_machines: int, machine_rank: int, dist_url: str) -> str:
    """Return ``host:port`` after checking what names the machines."""
    if num_machines < 1 or not 0 <= machine_rank < num_machines:
        raise DistributedError(
            f"--num-machines {num_machines} --machine-rank {machine_rank}: expected a rank from 0 to {max(num_machines, 1) - 1}"
        )
    if dist_url == "auto":
        if num_machines > 1:
            raise DistributedError(
                f"--num-machines {num_machines}: --dist-url auto serves one machine; "
                "give all of them tcp://HOST:PORT, an address of machine 0 and a free port on it."
            )
        return _FREE_PORT
    try:
        url = urlsplit(dist_url)
        scheme, host, port = url.scheme, url.hostname, url.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme != "tcp" or not host or not port:
        raise DistributedError(f"--dist-url: expected auto or tcp://HOST:PORT, got {dist_url!r}")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _run_agent(config: Any, folder: Path, entry_arguments: tuple[Any, ...]) -> Any:
    """Run the processes of this machine and turn their failures into one exception."""
    import torch.distributed as dist
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    try:
        with _quiet(*_TALKATIVE_LOGGERS):
            values = elastic_launch(config, _child)(*entry_arguments)
    except ChildFailedError as error:
        raise _failure(folder, error) from None
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + error.sigval) from None
    except (RendezvousError, dist.DistError) as error:
        raise DistributedError(
            f"{config.max_nodes} machines did not meet at {config.rdzv_endpoint} within {config.rdzv_configs['timeout']} s: "
            f"{error}\nIs each one running with its own --machine-rank, and can it reach that address?"
        ) from error
    return values[min(values)]


def _child(main: Callable[..., Any], arguments: Sequence[Any], device: str, timeout: timedelta, folder: str) -> Any:
    """What a new process does: as under ``torchrun``, and leave word of why it failed."""
    try:
        return _join_and_call(main, arguments, device, timeout)
    except Exception as error:
        report = {"kind": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
        report["rank"] = os.environ["RANK"]
        (Path(folder) / f"failure_{restart_count():04}_{time.time_ns()}_{os.getpid()}.json").write_text(json.dumps(report))
        raise


def _join_and_call(main: Callable[..., Any], arguments: Sequence[Any], device: str, timeout: timedelta) -> Any:
    own = process_device(device)
    share_threads(own)
    initialize(own, timeout)
    result = main(*arguments)
    destroy()  # after a failure not: the others may sit in a collective, and leaving would wait for them
    return result


def _failure(folder: Path, error: Any) -> Exception:
    """Return the exception of the process that failed first; the others fail because it is gone."""
    reports = sorted(folder.glob("failure_*.json"))
    if not reports:
        rank, failure = error.get_first_failure()
        killed = " It was probably killed for lack of memory." if failure.exitcode == -signal.SIGKILL else ""
        how = f"signal {failure.signal_name()}" if failure.exitcode < 0 else f"exit code {failure.exitcode}"
        return DistributedError(f"process {rank} ended by {how} without a message.{killed}")
    last_start = reports[-1].name[: len("failure_0000")]
    first = next(report for report in reports if report.name.startswith(last_start))
    report = json.loads(first.read_text())
    kind = getattr(errors, report["kind"], None)
    if isinstance(kind, type) and issubclass(kind, DettoolkitError):
        return kind(report["message"])
    return RuntimeError(f"process {report['rank']} failed:\n{report['traceback']}")


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep the launcher from telling at length what we say in one message."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
