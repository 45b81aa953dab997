"""From the pixels to the head: INPUT, BACKBONE, NECK, HEAD and the weights they start from."""

from __future__ import annotations

import re
from typing import Any

from dettoolkit.config.detectron2.settings import Settings

_ZOO = "https://dl.fbaipublicfiles.com/detectron2/"  # what detectron2:// stands for
# R-50.pkl, X-101-32x8d.pkl, R-50-GN.pkl, resnet50.pkl
_BACKBONE_FILE = re.compile(r"ImageNetPretrained|(^|/)(R|X|ResNeX?t)-?\d+(-\d+x\d+d)?(-GN)?\.\w+$", re.IGNORECASE)
_RES, _FPN, _HEAD = "MODEL.RESNETS", "MODEL.FPN", "MODEL.RETINANET"
_BACKBONE_NORMS = {"FrozenBN": "FrozenBN", "BN": "BN", "SyncBN": "SyncBN", "nnSyncBN": "SyncBN", "GN": "GN"}
_NORMS = {"": "none", "GN": "GN", "BN": "BN", "SyncBN": "SyncBN", "nnSyncBN": "SyncBN"}


def input_node(settings: Settings) -> dict[str, Any]:
    """Return ``MODEL.INPUT``: Detectron2 too has mean and deviation in the order of the channels that the network sees."""
    order = settings["INPUT.FORMAT"]
    mean = settings["MODEL.PIXEL_MEAN"]
    if order not in ("RGB", "BGR"):
        settings.lose("INPUT.FORMAT", f"networks see RGB or BGR here, not {order}")
        order = "BGR"
    if len(mean) != 3:
        settings.lose("MODEL.PIXEL_MEAN", f"pictures are read as RGB, in three channels, not {len(mean)}")
    return {"CHANNEL_ORDER": order, "PIXEL_MEAN": mean, "PIXEL_STD": settings["MODEL.PIXEL_STD"]}


def backbone_node(settings: Settings) -> dict[str, Any]:
    """Return ``MODEL.BACKBONE`` without its weights."""
    name, depth = settings["MODEL.BACKBONE.NAME"], settings[f"{_RES}.DEPTH"]
    if name != "build_retinanet_resnet_fpn_backbone":
        settings.lose("MODEL.BACKBONE.NAME", f"{name} is not converted, only build_retinanet_resnet_fpn_backbone is")
    node = {
        "NAME": "ResNet",
        "DEPTH": depth,
        "NORM": _norm(settings, f"{_RES}.NORM", _BACKBONE_NORMS, "FrozenBN"),
        "FREEZE_STAGES": min(max(settings["MODEL.BACKBONE.FREEZE_AT"], 0), 5),
    }
    if depth >= 50:  # Detectron2's smaller networks have no bottlenecks either, and do not look at these
        node["STRIDE_IN_1X1"] = settings[f"{_RES}.STRIDE_IN_1X1"]
        node["GROUPS"] = settings[f"{_RES}.NUM_GROUPS"]
        node["WIDTH_PER_GROUP"] = settings[f"{_RES}.WIDTH_PER_GROUP"]
    _lose_other_networks(settings, 256 if depth >= 50 else 64)
    return node


def neck_node(settings: Settings, levels: tuple[int, int]) -> dict[str, Any]:
    """Return ``MODEL.NECK`` for pyramid levels from ``levels[0]`` to ``levels[1]``."""
    norm = _norm(settings, f"{_FPN}.NORM", _NORMS, "none")
    if norm != "none" and levels[1] > 5:
        settings.lose(f"{_FPN}.NORM", f"P6 and P7 are without it in Detectron2, and have {norm} here")
    if settings[f"{_FPN}.FUSE_TYPE"] != "sum":
        settings.lose(f"{_FPN}.FUSE_TYPE", "maps of neighbouring levels are added here")
    channels = settings[f"{_FPN}.OUT_CHANNELS"]
    return {"NAME": "FPN", "OUT_CHANNELS": channels, "LEVELS": list(levels), "EXTRA_LEVELS_FROM": "C5", "NORM": norm}


def head_node(settings: Settings) -> dict[str, Any]:
    """Return ``MODEL.HEAD``."""
    norm = _norm(settings, f"{_HEAD}.NORM", _NORMS, "none")
    if norm in ("BN", "SyncBN"):
        settings.lose(f"{_HEAD}.NORM", "scale and shift of each level are learned apart here; Detectron2's levels share them")
    channels = settings[f"{_FPN}.OUT_CHANNELS"]
    for key in (f"{_FPN}.NORM", f"{_HEAD}.NORM"):
        if settings[key] == "GN" and (channels % 32 or channels == 32):
            settings.lose(key, f"Detectron2 makes 32 groups of {channels} channels; here a group has two channels and more")
    return {
        "NAME": "RetinaNetHead",
        "NUM_CONVS": settings[f"{_HEAD}.NUM_CONVS"],
        "NORM": norm,
        "PRIOR_PROBABILITY": settings[f"{_HEAD}.PRIOR_PROB"],
    }


def pyramid_levels(settings: Settings) -> tuple[int, int]:
    """Return the first and the last level that the head sees.

    The pyramid is made from C5 downwards and from C5 upwards, so a level that the head leaves out below or above changes
    nothing for the others; one that it leaves out in between has no equivalent.

    Raises:
        ConfigError: maps that Detectron2's own backbone does not give.
    """
    bottom, used = settings[f"{_FPN}.IN_FEATURES"], settings[f"{_HEAD}.IN_FEATURES"]
    missing = [name for name in {*bottom, "res5"} if name not in settings[f"{_RES}.OUT_FEATURES"]]
    if missing or not bottom:
        what = f"wants {missing[0]}, which {_RES}.OUT_FEATURES does not name" if missing else "names no maps"
        raise settings.refuse(f"{_FPN}.IN_FEATURES", f"{what}. Detectron2 cannot build this either.")
    first = _number(bottom[0])
    low, high = _number(used[0] if used else ""), _number(used[-1] if used else "")
    if bottom != [f"res{level}" for level in range(first, 6)] or not 2 <= first <= 5:
        settings.lose(f"{_FPN}.IN_FEATURES", f"a pyramid is made of neighbouring maps up to res5 here, not of {bottom}")
    elif used != [f"p{level}" for level in range(low, high + 1)] or not first <= low <= 5 <= high <= 7:
        settings.lose(f"{_HEAD}.IN_FEATURES", f"a head sees neighbouring levels with P5 among them here, not {used}")
    else:
        return low, high
    return 3, 7


def weights(settings: Settings) -> tuple[str, str]:
    """Return the addresses of ``MODEL.WEIGHTS`` and ``MODEL.BACKBONE.WEIGHTS``; Detectron2 has one key for both."""
    address = settings["MODEL.WEIGHTS"]
    if address.startswith("detectron2://"):
        address = _ZOO + address.removeprefix("detectron2://")
    elif "://" in address and not address.startswith(("http://", "https://")):
        settings.lose("MODEL.WEIGHTS", f"only Detectron2 knows what {address} stands for: write a path or URL instead")
        address = ""
    return ("", address) if _BACKBONE_FILE.search(address) else (address, "")


def _lose_other_networks(settings: Settings, width: int) -> None:
    if settings[f"{_RES}.RES2_OUT_CHANNELS"] != width:
        settings.lose(f"{_RES}.RES2_OUT_CHANNELS", f"C2 of a network of this depth has {width} channels here")
    if settings[f"{_RES}.STEM_OUT_CHANNELS"] != 64:
        settings.lose(f"{_RES}.STEM_OUT_CHANNELS", "the first convolution has 64 channels here")
    if settings[f"{_RES}.RES5_DILATION"] != 1:
        settings.lose(f"{_RES}.RES5_DILATION", "there are no dilated stages here: C5 has stride 32")
    if any(settings[f"{_RES}.DEFORM_ON_PER_STAGE"]):
        further = (f"{_RES}.DEFORM_MODULATED", f"{_RES}.DEFORM_NUM_GROUPS")
        settings.lose(f"{_RES}.DEFORM_ON_PER_STAGE", "there are no deformable convolutions here", further)


def _norm(settings: Settings, key: str, known: dict[str, str], otherwise: str) -> str:
    norm: str = settings[key]
    if norm not in known:
        settings.lose(key, f"there is no norm {norm!r} in this place here")
    return known.get(norm, otherwise)


def _number(name: str) -> int:
    """Return the level in ``res5`` or ``p5``, 0 where there is none."""
    found = re.fullmatch(r"(?:res|p)(\d)", name)
    return int(found[1]) if found else 0
