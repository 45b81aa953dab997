from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dettoolkit.checkpoint import fetch, fetching
from dettoolkit.errors import CheckpointError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server on this machine: its address and the folder that it serves; the cache is empty."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


def test_a_path_is_itself(tmp_path: Path) -> None:
    assert fetch(tmp_path / "a.pth") == tmp_path / "a.pth"
    assert fetch("~/a.pth") == Path.home() / "a.pth"


def test_a_url_is_downloaded_once(server: tuple[str, Path]) -> None:
    address, folder = server
    with pytest.raises(CheckpointError, match=r"not downloaded yet, and the network may not be used\. Put the file of"):
        fetch(f"{address}/a.pth", offline=True)
    (folder / "a.pth").write_bytes(b"weights")
    cached = fetch(f"{address}/a.pth")
    (folder / "a.pth").unlink()
    assert fetch(f"{address}/a.pth", offline=True) == cached
    assert cached.read_bytes() == b"weights"


def test_a_failed_download_says_what_to_do(server: tuple[str, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"missing.pth failed: .*404.* put the file at .*missing.pth"):
        fetch(f"{server[0]}/missing.pth")


def test_a_hash_in_the_name_is_checked(server: tuple[str, Path]) -> None:
    address, folder = server
    good = f"a-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth"
    (folder / good).write_bytes(b"weights")
    assert fetch(f"{address}/{good}").read_bytes() == b"weights"
    (folder / "b-00000000.pth").write_bytes(b"weights")
    with pytest.raises(
        CheckpointError, match=r"b-00000000.pth is damaged: its SHA-256 starts with \w{8}, its name says 00000000"
    ):
        fetch(f"{address}/b-00000000.pth")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        # the entries that https://docs.pytorch.org/vision/stable/models.html lists
        ("torchvision://resnet50", "https://download.pytorch.org/models/resnet50-0676ba61.pth"),
        ("torchvision://resnet50.IMAGENET1K_V2", "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"),
        ("torchvision://resnet18", "https://download.pytorch.org/models/resnet18-f37072fd.pth"),
        ("torchvision://resnext101_64x4d", "https://download.pytorch.org/models/resnext101_64x4d-173b62eb.pth"),
    ],
)
def test_names_of_torchvision_are_urls(address: str, url: str) -> None:
    assert fetching._torchvision_url(address) == url


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("torchvision://resnet5", r"torchvision has no such ResNet. Did you mean 'resnet50'\? It has: .*resnet101"),
        ("torchvision://resnet50.IMAGENET1K_V3", r"resnet50 has no 'IMAGENET1K_V3'. Did you mean 'IMAGENET1K_V[12]'\? It has:"),
    ],
)
def test_unknown_names_of_torchvision_are_refused(address: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        fetch(address)
