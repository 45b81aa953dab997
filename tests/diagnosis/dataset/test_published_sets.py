"""What is known of published sets, counted by hand and told by their makers, is found without being told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dettoolkit.config import load_config
from dettoolkit.diagnosis.dataset import check_datasets
from dettoolkit.structures import Finding

SPLITS = ("train", "val", "test")
TWICE = {"00020", "00100", "00104", "00251", "00284", "00331", "00403"}  # boxes that differ by 2 pixels in all four numbers
NO_AREA = {"00338", "00343"}


def findings(node: str, folder: Path, real_data: Path) -> dict[str, Finding]:
    """Return the errors and warnings of the three splits of a set, by kind; headers alone are read."""
    rows = "".join(f"    {split}: {node.replace('<split>', split)}\n" for split in SPLITS)
    text = f"_BASE_: tiny.yaml\nDATASETS:\n  ROOT: {real_data}\n  CATALOG:\n{rows}  TRAIN: [train]\n  TEST: [val, test]\n"
    (folder / "mine.yaml").write_text(text)
    cfg: Any = load_config(str(folder / "mine.yaml"))
    found = check_datasets(cfg, SPLITS, decode=False, workers=0).findings
    return {finding.kind: finding for finding in found if finding.severity != "hint"}


def pictures(finding: Finding) -> set[str]:
    return {number for example in finding.examples for number in re.findall(r"BloodImage_(\d+)", example.file_name)}


def test_blood_cells_in_xml_have_two_boxes_without_area_and_seven_twice(tmp_path: Path, real_data: Path) -> None:
    found = findings("{NAME: VOCDataset, FOLDER: bccd/voc, IMAGES: bccd/images, SPLIT: <split>}", tmp_path, real_data)
    assert found.keys() == {"boxes-without-area", "duplicate-boxes"}
    assert (found["boxes-without-area"].count, found["duplicate-boxes"].count) == (2, 7)
    assert pictures(found["boxes-without-area"]) == NO_AREA
    assert pictures(found["duplicate-boxes"]) == TWICE


def test_in_json_the_two_are_left_out_and_the_seven_are_there(tmp_path: Path, real_data: Path) -> None:
    node = "{NAME: COCODataset, ANNOTATIONS: bccd/annotations/bccd_<split>.json, IMAGES: bccd/images}"
    found = findings(node, tmp_path, real_data)
    assert found.keys() == {"duplicate-boxes"}
    assert found["duplicate-boxes"].count == 7
    assert pictures(found["duplicate-boxes"]) == TWICE


@pytest.mark.parametrize(
    "node",
    [
        "{NAME: COCODataset, ANNOTATIONS: txl_pbc/annotations/txl_pbc_<split>.json, IMAGES: txl_pbc/images}",
        "{NAME: YOLODataset, DATA: txl_pbc/data.yaml, SPLIT: <split>}",
    ],
)
def test_no_box_of_the_larger_set_is_broken_or_misread(node: str, tmp_path: Path, real_data: Path) -> None:
    # compared pair by pair: 39 boxes stand twice in it, most of them in two test pictures, and 8 with two classes
    found = findings(node, tmp_path, real_data)
    assert {kind: finding.count for kind, finding in found.items()} == {"duplicate-boxes": 39, "same-box-two-classes": 8}
