from __future__ import annotations

import os
import signal
import socket
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from dettoolkit.distributed import (
    check_num_devices,
    launch,
    process_device,
    rank,
    restart_count,
    sum_over_processes,
    under_launcher,
    world_size,
)
from dettoolkit.errors import DataError, DistributedError

SHORT = timedelta(seconds=60)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """New processes import the functions below by the name of this module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _own_process(word: str) -> tuple[str, int, bool]:
    return word, os.getpid(), under_launcher()


def test_one_process_is_this_one() -> None:
    assert launch(_own_process, ("hello",), num_gpus=1, device="cpu") == ("hello", os.getpid(), False)


def _second_process_finds_bad_data() -> None:
    if rank() == 1:
        raise DataError("a.jpg: broken")
    sum_over_processes(torch.ones(1))  # waits for the other, and fails because it is gone


def test_an_error_of_a_process_is_the_users_one_message(importable: None, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError) as caught:
        launch(_second_process_finds_bad_data, (), num_gpus=2, device="cpu", timeout=SHORT)
    assert str(caught.value) == "a.jpg: broken"
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    assert "torchelastic" not in printed
    assert "SIGTERM" not in printed
    assert "rank 0 of 2 on" in printed
    assert "rank 1 of 2 on" in printed


def _fail_until_restarted() -> tuple[int, int]:
    if restart_count() == 0:
        raise ZeroDivisionError("only at the first start")
    return restart_count(), world_size()


def test_processes_are_started_again_as_often_as_asked(importable: None) -> None:
    assert launch(_fail_until_restarted, (), num_gpus=1, max_restarts=1, device="cpu", timeout=SHORT) == (1, 1)


def _fail_in_own_way() -> None:
    raise ZeroDivisionError(f"at start {restart_count()}")


def test_a_bug_keeps_its_traceback_and_a_given_port_is_used(importable: None) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)process . failed:.*_fail_in_own_way.*ZeroDivisionError: at start 0"):
        launch(_fail_in_own_way, (), num_gpus=2, dist_url=f"tcp://127.0.0.1:{_free_port()}", device="cpu", timeout=SHORT)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told_by_its_signal(importable: None) -> None:
    with pytest.raises(
        DistributedError, match=r"process \d ended by signal SIGKILL without a message\. It was probably killed for"
    ):
        launch(_die, (), num_gpus=2, device="cpu", timeout=SHORT)


def test_under_torchrun_this_process_joins_and_starts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    for name, value in {**torchrun, "MASTER_PORT": str(_free_port()), "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    assert launch(_own_process, ("hello",), num_gpus=8, device="cpu", timeout=SHORT) == ("hello", os.getpid(), True)
    assert not torch.distributed.is_initialized()


def test_machines_that_do_not_come_are_an_error_with_the_address() -> None:
    port = _free_port()
    with pytest.raises(DistributedError, match=rf"2 machines did not meet at 127.0.0.1:{port} within 1 s"):
        launch(
            _own_process,
            ("x",),
            1,
            num_machines=2,
            dist_url=f"tcp://127.0.0.1:{port}",
            device="cpu",
            timeout=timedelta(seconds=1),
        )


def test_more_gpus_than_there_are_names_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        DistributedError, match=r"--num-gpus 4: torch sees 1 GPU on this machine\..*MODEL.DEVICE cpu.* 4 processes"
    ):
        launch(_own_process, ("x",), num_gpus=4)
    check_num_devices(4, "cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, "cpu"), "--num-gpus: expected at least 1, got 0"),
        ((2, "cuda:1"), "--num-gpus 2: MODEL.DEVICE cuda:1 is one device"),
    ],
)
def test_impossible_numbers_of_processes_are_refused(arguments: tuple[int, str], message: str) -> None:
    with pytest.raises(DistributedError, match=message):
        check_num_devices(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_machines": 2}, "--dist-url auto serves one machine"),
        ({"num_machines": 2, "machine_rank": 2}, "--machine-rank 2: expected a rank from 0 to 1"),
        ({"dist_url": "127.0.0.1:29500"}, r"expected auto or tcp://HOST:PORT, got '127.0.0.1:29500'"),
        ({"dist_url": "tcp://host"}, r"expected auto or tcp://HOST:PORT, got 'tcp://host'"),
        ({"dist_url": "tcp://host:99999"}, r"expected auto or tcp://HOST:PORT, got 'tcp://host:99999'"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(options: dict, message: str) -> None:
    with pytest.raises(DistributedError, match=message):
        launch(_own_process, ("x",), num_gpus=1, device="cpu", **options)


def test_the_device_of_a_process_follows_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert process_device("auto") == torch.device("cuda", 1)
    assert process_device("cuda") == torch.device("cuda", 1)
    assert process_device("cuda:0") == torch.device("cuda", 0)
    assert process_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(DistributedError, match=r"process 2 of this machine needs GPU 2, and torch sees 2 GPUs"):
        process_device("cuda")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(DistributedError, match=r"expected auto, cpu, cuda, cuda:N or mps, got 'gpu'"):
        process_device("gpu")
