"""What a wrong config is told: the key, the file and line, what came, what is accepted and the nearest name."""

from __future__ import annotations

import pytest


def test_a_right_config_is_complete(load):
    cfg = load("")
    assert cfg.SOLVER.BASE_LR == 0.01
    assert cfg.MODEL.META_ARCH.NAME == "RetinaNet"
    assert cfg.MODEL.DECODER.NMS.NAME == "BatchedNMS"
    assert [hook["NAME"] for hook in cfg.HOOKS]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("SOLVR: {}", "SOLVR (config.yaml:1): A config has no 'SOLVR'. Did you mean 'SOLVER'? Accepted: MODEL, DATASETS,"),
        ("SOLVER:\n  BASE_LRR: 1", "SOLVER.BASE_LRR (config.yaml:2): SOLVER has no 'BASE_LRR'. Did you mean 'BASE_LR'?"),
        ("SOLVER: {base_lr: 1}", "SOLVER.base_lr (config.yaml:1): SOLVER has no 'base_lr'. Did you mean 'BASE_LR'?"),
        ("MODEL: {NEK: {}}", "MODEL.NEK (config.yaml:1): MODEL has no 'NEK'. Did you mean 'NECK'?"),
        (
            "MODEL:\n  HEAD:\n    NUM_CONV: 1",
            "MODEL.HEAD.NUM_CONV (config.yaml:3): RetinaNetHead has no 'NUM_CONV'. Did you mean",
        ),
        (
            "MODEL: {NECK: {NAME: FNP}}",
            "MODEL.NECK.NAME (config.yaml:1): NECKS has no 'FNP'. Did you mean 'FPN'? Registered: FPN.",
        ),
        ("MODEL: {META_ARCH: {NAME: RetinaNt}}", "MODEL.META_ARCH.NAME (config.yaml:1): META_ARCHS has no 'RetinaNt'."),
        (
            "MODEL: {META_ARCH: {DEPTH: 3}}",
            "MODEL.META_ARCH.DEPTH (config.yaml:1): RetinaNet (its parts stand beside it) has no",
        ),
        ("MODEL: {DECODER: {NAME: X}}", "MODEL.DECODER.NAME (config.yaml:1): DenseDecoder has no 'NAME'."),
        ("MODEL: {DECODER: {NMS: {IOU: 1}}}", "MODEL.DECODER.NMS.IOU (config.yaml:1): BatchedNMS has no 'IOU'."),
        ("HOOKS: [{NAME: Evaluaton}]", "HOOKS.0.NAME (config.yaml:1): HOOKS has no 'Evaluaton'. Did you mean 'Evaluation'?"),
    ],
)
def test_a_misspelt_name_is_reported_with_the_nearest(rows, text, row):
    found = rows(text)
    assert found[0].startswith(row)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("SOLVER: {BASE_LR: '1e-4'}", "SOLVER.BASE_LR (config.yaml:1): expected float >= 0, got '1e-4' (a string)."),
        ("SOLVER: {BATCH_SIZE: 2.0}", "SOLVER.BATCH_SIZE (config.yaml:1): expected int >= 1, got 2.0 (float)."),
        ("SOLVER: {BATCH_SIZE: 0}", "SOLVER.BATCH_SIZE (config.yaml:1): expected int >= 1, got 0 (int)."),
        ("SOLVER: {BATCH_SIZE: true}", "SOLVER.BATCH_SIZE (config.yaml:1): expected int >= 1, got true."),
        (
            "SOLVER: {LENGTH: 0ep}",
            "SOLVER.LENGTH (config.yaml:1): expected at least one iteration (90000), or epochs ('12ep'), got '0ep' (a string).",
        ),
        (
            "MODEL: {DEVICE: gpu}",
            "MODEL.DEVICE (config.yaml:1): expected auto, cpu, cuda, cuda:N or mps, got 'gpu' (a string).",
        ),
        ("SOLVER: {AMP: off}", "SOLVER.AMP (config.yaml:1): expected 'none' or 'bf16' or 'fp16', got 'off' (a string)."),
        (
            "SOLVER: {LENGTH: 12epochs}",
            "SOLVER.LENGTH (config.yaml:1): expected at least one iteration (90000), or epochs ('12ep'), "
            "got '12epochs' (a string).",
        ),
        (
            "SOLVER: {WARMUP: {FACTOR: 2}}",
            "SOLVER.WARMUP.FACTOR (config.yaml:1): expected float >= 0 and <= 1, got 2 (int).",
        ),
        ("MODEL: {CHANNELS_LAST: yes}", "MODEL.CHANNELS_LAST (config.yaml:1): expected true or false, got 'yes' (a string)."),
        ("MODEL: {NUM_CLASSES: all}", "MODEL.NUM_CLASSES (config.yaml:1): expected int >= 1 or 'auto', got 'all' (a string)."),
        ("MODEL: {HEAD: {NUM_CONVS: four}}", "MODEL.HEAD.NUM_CONVS (config.yaml:1): expected int, got 'four' (a string)."),
        ("DATASETS: {TRAIN: a}", "DATASETS.TRAIN (config.yaml:1): expected list of strings, got 'a' (a string)."),
        (
            "DATALOADER: {PAD_TO: [3]}",
            "DATALOADER.PAD_TO (config.yaml:1): expected [height, width] or int >= 1 or null, got [3] (a list).",
        ),
        ("SOLVER: 3", "SOLVER (config.yaml:1): expected a mapping, got 3 (int)."),
        ("SOLVER:", "SOLVER (config.yaml:1): expected a mapping, got null."),
        (
            "MODEL: {NECK: FPN}",
            "MODEL.NECK (config.yaml:1): expected a mapping with NAME (one of NECKS), got 'FPN' (a string).",
        ),
        ("MODEL: {NECK: null}", "MODEL.NECK (config.yaml:1): expected a mapping with NAME (one of NECKS), got null."),
        (
            "MODEL: {NECK: [FPN]}",
            "MODEL.NECK (config.yaml:1): expected a mapping with NAME (one of NECKS), got ['FPN'] (a list).",
        ),
        (
            "MODEL: {NECK: {NAME: 3}}",
            "MODEL.NECK.NAME (config.yaml:1): expected a string, got 3 (int): the name of one of NECKS.",
        ),
        (
            "HOOKS: {NAME: Evaluation}",
            "HOOKS (config.yaml:1): expected a list of components, each a mapping with NAME, "
            "got {'NAME': 'Evaluation'} (a mapping).",
        ),
        (
            "HOOKS: [Evaluation]",
            "HOOKS.0 (config.yaml:1): expected a mapping with NAME (one of HOOKS), got 'Evaluation' (a string).",
        ),
        ("HOOKS: [{}]", "HOOKS.0.NAME (config.yaml:1): is required and missing: the name of one of HOOKS."),
    ],
)
def test_a_wrong_type_or_value_is_reported_with_what_is_accepted(rows, text, row):
    assert rows(text) == [row]


@pytest.mark.parametrize(
    ("text", "key", "owner"),
    [
        ("MODEL: {NECK: {NAME: FPN, IN_CHANNELS: {C5: 3}}}", "MODEL.NECK.IN_CHANNELS", "FPN"),
        ("MODEL: {HEAD: {NUM_CLASSES: 3}}", "MODEL.HEAD.NUM_CLASSES", "RetinaNetHead"),
        ("MODEL: {ANCHORS: {STRIDES: [8]}}", "MODEL.ANCHORS.STRIDES", "GridAnchors"),
        ("MODEL: {DECODER: {CODER: x}}", "MODEL.DECODER.CODER", "DenseDecoder"),
        ("SOLVER: {OPTIMIZER: {LR: 0.1}}", "SOLVER.OPTIMIZER.LR", "SGD"),
    ],
)
def test_a_value_that_other_parts_wire_is_refused(rows, text, key, owner):
    (row,) = rows(text)
    assert row == f"{key} (config.yaml:1): is set by the parts around {owner}, not in the config: remove it."


def test_a_required_parameter_that_is_missing_is_reported_at_its_component(rows):
    (row,) = rows("DATASETS:\n  CATALOG:\n    mine: {NAME: COCODataset, IMAGES: x}\n")
    assert row == "DATASETS.CATALOG.mine.ANNOTATIONS (config.yaml:3): is required by COCODataset and missing."


def test_a_key_written_with_dots_in_a_file_is_told_to_be_nested(rows):
    (row,) = rows("SOLVER.BASE_LR: 1")
    assert row.startswith("SOLVER.BASE_LR (config.yaml:1): A config has no 'SOLVER.BASE_LR'. Did you mean 'SOLVER'?")
    assert row.endswith("(Dots separate keys in overrides only; in a file they are nested.)")


def test_a_name_with_a_dot_is_refused(rows):
    (row,) = rows("DATASETS: {CATALOG: {a.b: {NAME: COCODataset, ANNOTATIONS: x, IMAGES: y}}}")
    assert row.startswith("DATASETS.CATALOG.a.b (config.yaml:1): the name 'a.b' has a dot, which separates the parts of a key.")


def test_mistakes_inside_nested_lists_have_their_full_key(rows):
    found = rows(
        "DATASETS:\n  TRAIN_TRANSFORMS:\n  - NAME: RandomApply\n    TRANSFORMS:\n    - NAME: ColorJitter\n      BRIGTHNESS: 1\n"
    )
    (row,) = found
    assert row.startswith(
        "DATASETS.TRAIN_TRANSFORMS.0.TRANSFORMS.0.BRIGTHNESS (config.yaml:6): ColorJitter has no 'BRIGTHNESS'."
    )


def test_all_mistakes_of_all_kinds_come_in_one_report(rows):
    text = """\
SED: 3
MODEL:
  NECK: {NAME: FNP}
  HEAD: {NUM_CONVS: four, NUM_CLASSES: 3}
HOOKS: 5
SOLVER:
  BASE_LR: high
"""
    found = rows(text, "SOLVER.AMP off PLUGINS [absent.py]")
    assert [row.split("): ")[0] for row in found] == [
        "PLUGINS.0 (override PLUGINS",
        "SED (config.yaml:1",
        "MODEL.NECK.NAME (config.yaml:3",
        "MODEL.HEAD.NUM_CLASSES (config.yaml:4",
        "MODEL.HEAD.NUM_CONVS (config.yaml:4",
        "SOLVER.BASE_LR (config.yaml:7",
        "SOLVER.AMP (override SOLVER.AMP",
        "HOOKS (config.yaml:5",
    ]


def test_every_line_of_a_report_is_one_mistake(rows):
    assert all(" (config.yaml:" in row for row in rows("SED: |\n  a\n  b\nSEEED: 1\n"))
