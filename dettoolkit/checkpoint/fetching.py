"""Where weights come from: a path, a URL, or a name of torchvision."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import urlparse

from dettoolkit.errors import CheckpointError, did_you_mean, listed

_TORCHVISION = "torchvision://"


def fetch(address: str | Path, offline: bool = False) -> Path:
    """Return the local file of a weight address, downloaded once into iopath's cache (``$FVCORE_CACHE``).

    Args:
        address: a path; ``http(s)://...``; or ``torchvision://resnet50``, the weights that torchvision's own detectors start
            from (``IMAGENET1K_V1``), or another entry such as ``torchvision://resnet50.IMAGENET1K_V2``.
        offline: use what is in the cache, never the network.

    Raises:
        CheckpointError: an unknown name, a failed download, or a file whose hash is not the one in its name.
    """
    url = _torchvision_url(str(address)) if str(address).startswith(_TORCHVISION) else str(address)
    if not url.startswith(("http://", "https://")):
        return Path(address).expanduser()
    from iopath.common.file_io import HTTPURLHandler, PathManager, get_cache_dir

    cached = Path(get_cache_dir()) / urlparse(url).path.lstrip("/")
    if offline and not cached.is_file():
        raise CheckpointError(
            f"{address}: not downloaded yet, and the network may not be used. Put the file of {url} at {cached}."
        )
    manager = PathManager()
    manager.register_handler(HTTPURLHandler())
    try:
        file = Path(manager.get_local_path(url))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{address}: the download of {url} failed: {error}. Without a network, put the file at {cached}, "
            "or set the WEIGHTS of the config to a path, or to '' for random weights."
        ) from error
    _check_hash(file)
    return file


def _torchvision_url(address: str) -> str:
    from torchvision.models import get_model_weights, list_models

    name, _, entry = address.removeprefix(_TORCHVISION).partition(".")
    names = [model for model in list_models() if model.startswith(("resnet", "resnext", "wide_resnet"))]
    if name not in names:
        raise CheckpointError(f"{address}: torchvision has no such ResNet.{did_you_mean(name, names)} It has: {listed(names)}.")
    entries = get_model_weights(name).__members__
    entry = entry or "IMAGENET1K_V1"
    if entry not in entries:
        raise CheckpointError(f"{address}: {name} has no {entry!r}.{did_you_mean(entry, entries)} It has: {listed(entries)}.")
    return str(entries[entry].url)


def _check_hash(file: Path) -> None:
    """Compare a file with the start of its SHA-256 where its name has that, as torchvision's do (``resnet50-0676ba61.pth``)."""
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", file.name)
    if match is None:
        return
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if not digest.startswith(match[1]):
        raise CheckpointError(
            f"{file} is damaged: its SHA-256 starts with {digest[: len(match[1])]}, its name says {match[1]}. "
            "Delete it and start again."
        )
