"""The run-level keys: what no component owns. A component's defaults live in its constructor, never here."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen, Predicate
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from dettoolkit.registry import (
    DATASETS,
    EVALUATORS,
    HOOKS,
    META_ARCHS,
    NMS,
    OPTIMIZERS,
    SAMPLERS,
    SCHEDULES,
    TRANSFORMS,
    Component,
    ListOf,
    MappingOf,
    Section,
    Value,
)


def _is_length(value: int | str) -> bool:
    return re.fullmatch(r"\d+|\d+it|\d+(\.\d+)?ep", str(value)) is not None


def _is_device(value: str) -> bool:
    return re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value) is not None


def _is_wish(value: str) -> bool:
    number = r"(\d+\.?\d*|\.\d+)"
    form = rf"none|best_f1|(precision|recall)\s*>=\s*{number}|cost\s*=\s*{number}\s*:\s*{number}"
    return re.fullmatch(form, value.strip()) is not None


_Count = Annotated[int, Ge(1)]
_Length = Annotated[int | str, Predicate(_is_length), "iterations (90000) or epochs ('12ep')"]
_Training = Annotated[
    int | str,
    Predicate(lambda value: _is_length(value) and re.search(r"[1-9]", str(value)) is not None),
    "at least one iteration (90000), or epochs ('12ep')",
]
_Device = Annotated[str, Predicate(_is_device), "auto, cpu, cuda, cuda:N or mps"]
_LengthOrAuto = Annotated[
    int | str, Predicate(lambda value: value == "auto" or _is_length(value)), "'auto', iterations (1000) or epochs ('0.5ep')"
]


class _LayerRate(TypedDict):
    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]  # noqa: RUF012

    PATTERN: str
    FACTOR: Annotated[float, Gt(0)]


_MODEL = Section(
    {
        "META_ARCH": Component(META_ARCHS, {"NAME": "RetinaNet"}, doc="The detector; it says which other parts MODEL has."),
        "NUM_CLASSES": Value(
            _Count | Literal["auto"], "auto", "Number of object classes; auto: as many as the training set has."
        ),
        "WEIGHTS": Value(str, "", "Weights of the whole model to start from: a path or URL; empty: none."),
        "FREEZE": Value(
            list[str],
            [],
            "Names of parameters that are not trained, * for any characters: [backbone.conv1.*]; norms among them keep their "
            "statistics.",
        ),
        "DEVICE": Value(
            _Device, "auto", "auto, cpu, cuda, cuda:N or mps; cpu makes --num-gpus N start N processes on the CPU."
        ),
        "CHANNELS_LAST": Value(bool, True, "Keep images and maps in channels-last memory order: the same numbers, faster."),
        "COMPILE": Value(
            Literal["none", "network", "step"],
            "none",
            "What of training torch.compile takes on: network (backbone, neck and head in one), or step (and the "
            "classification loss); each shape of a batch has to be waited for once. Evaluation stays as it is.",
        ),
    },
    doc="The detector. The keys beside these are the parts of the chosen META_ARCH.",
)

_TEST_VIEWS = Section(
    {
        "FLIP": Value(
            Literal["none", "horizontal", "vertical", "both"], "none", "Which mirrored pictures are looked at besides."
        ),
        "SCALES": Value(
            Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
            [1.0],
            "Factors of the size that TEST_TRANSFORMS give; each is looked at.",
        ),
        "TILE_SIZE": Value(
            Annotated[tuple[_Count, _Count], "[height, width]"] | _Count | None,
            None,
            "Larger images are cut into tiles of this side, or [height, width], in pixels of the original image; null: none.",
        ),
        "TILE_OVERLAP": Value(
            Annotated[float, Ge(0), Lt(1)], 0.2, "The share of a tile that its neighbour shows too, at least."
        ),
        "WHOLE_IMAGE": Value(bool, True, "Whether an image that is cut into tiles is looked at as a whole as well."),
        "MERGE": Component(NMS, {"NAME": "WeightedBoxFusion"}, doc="How the boxes of several views are made one list."),
    },
    doc="Several looks at each image, in evaluation and prediction alike: the products of regions, scales and flips.",
)

_DATASETS = Section(
    {
        "ROOT": Value(str | None, None, "Folder that paths in CATALOG are relative to; null: $DETTOOLKIT_DATA, or else data."),
        "CATALOG": MappingOf(Component(DATASETS, wired=("name", "root", "on_bad", "empty_images")), doc="Name -> data set."),
        "TRAIN": Value(list[str], [], "Names of the data sets to train on."),
        "MIX": MappingOf(
            Section(
                {
                    "WEIGHT": Value(
                        Annotated[float, Gt(0)],
                        1.0,
                        "How often each image of the set comes in an epoch: 2 twice, 0.5 in every second one on average.",
                    ),
                    "FRACTION": Value(
                        Annotated[float, Gt(0), Le(1)],
                        1.0,
                        "Share of its images to train on; those of a smaller share are among those of a larger one.",
                    ),
                    "FRACTION_SEED": Value(
                        Annotated[int, Ge(0)], 0, "Which images the share takes: the same for the same seed, whatever SEED is."
                    ),
                }
            ),
            doc="Name of a set in TRAIN -> how much of it is trained on, and how often; others come whole and once an epoch.",
        ),
        "TEST": Value(list[str], [], "Names of the data sets to evaluate on."),
        "PIXEL_RANGE": Value(
            Annotated[tuple[float, float], "[lowest, highest]"] | None,
            None,
            "Values in the image files that become 0 and 255, what lies outside becoming the nearer end: [0, 65535], "
            "[-1000, 400]. Needed for more than 8 bits and for arrays; null: 8 bits as they are, 16 of gray and RGB over 256.",
        ),
        "TRAIN_TRANSFORMS": ListOf(
            Component(TRANSFORMS, wired=("training_length",)),
            default=(
                {"NAME": "ResizeShortestEdge", "SIZES": [640, 672, 704, 736, 768, 800], "MAX_SIZE": 1333},
                {"NAME": "RandomHorizontalFlip"},
            ),
            doc="Applied to training samples, in order; every pipeline ends in removing boxes that left the picture.",
        ),
        "TEST_TRANSFORMS": ListOf(
            Component(TRANSFORMS, wired=("training_length",)),
            default=({"NAME": "ResizeShortestEdge", "SIZES": [800], "MAX_SIZE": 1333},),
            doc="Applied before inference: resizing, padding and flipping, nothing random.",
        ),
        "TEST_VIEWS": _TEST_VIEWS,
        "ON_BAD": Value(
            Literal["error", "drop"], "error", "What broken boxes and images do: stop the run, or be left out and counted."
        ),
        "EMPTY_IMAGES": Value(Literal["keep", "drop"], "keep", "Whether pictures without objects are trained on."),
    },
    doc="What to train and to evaluate on.",
)

_DATALOADER = Section(
    {
        "NUM_WORKERS": Value(
            Annotated[int, Ge(0)], 2, "Worker processes that prepare samples, for each training process; 0: none."
        ),
        "PAD_TO": Value(
            Annotated[tuple[_Count, _Count], "[height, width]"] | _Count | None,
            None,
            "[height, width] that every training batch is padded to, or a number whose multiples its sides become, rounded "
            "up to what the network can take, mostly 32; null: as small as the batch allows, and with MODEL.COMPILE "
            "multiples of 128.",
        ),
        "SAMPLER": Component(
            SAMPLERS,
            {"NAME": "TrainingSampler"},
            ("sizes", "batch_size", "seed", "records", "image_weights"),
            "The order of training images.",
        ),
    },
    doc="How samples reach the model.",
)

_SOLVER = Section(
    {
        "BATCH_SIZE": Value(_Count, 16, "Images per optimizer step, over all processes and accumulated parts."),
        "REFERENCE_BATCH_SIZE": Value(
            _Count | None, 16, "The batch that BASE_LR is meant for; the rate is scaled linearly. null: as it is."
        ),
        "BASE_LR": Value(Annotated[float, Ge(0)], 0.01, "Learning rate at REFERENCE_BATCH_SIZE."),
        "LAYER_RATES": Value(
            Annotated[list[_LayerRate], "a list of {PATTERN: a name of parameters, FACTOR: a number > 0}"],
            [],
            "Shares of the learning rate for parameters by name, * for any characters: [{PATTERN: backbone.*, FACTOR: 0.1}]; "
            "the last that matches decides.",
        ),
        "LENGTH": Value(_Training, "12ep", "Length of the training: iterations (90000) or epochs (12ep)."),
        "ACCUMULATE": Value(
            _Count, 1, "Parts that a batch is computed in; each has its own loss normaliser, so it is not quite one batch."
        ),
        "AMP": Value(Literal["none", "bf16", "fp16"], "none", "Autocast precision; the criterion stays in float32."),
        "CLIP_GRADIENT_NORM": Value(
            Annotated[float, Gt(0)] | None, None, "Largest L2 norm of all gradients together; null: no clipping."
        ),
        "WARMUP": Section(
            {
                "LENGTH": Value(
                    _LengthOrAuto, "auto", "Length of the linear warm-up; auto: 1000 iterations, at most a tenth of LENGTH."
                ),
                "FACTOR": Value(Annotated[float, Ge(0), Le(1)], 0.001, "Share of the learning rate at the first iteration."),
            },
            doc="Linear rise of the learning rate at the start.",
        ),
        "OPTIMIZER": Component(OPTIMIZERS, {"NAME": "SGD"}, ("model", "lr"), "The optimizer."),
        "SCHEDULE": Component(
            SCHEDULES, {"NAME": "MultiStep"}, ("num_iterations", "iterations_per_epoch"), "The learning rate over time."
        ),
    },
    doc="How the weights are learned.",
)

_EVALUATION = Section(
    {
        "PERIOD": Value(_Length, "1ep", "How often to evaluate during training; 0: only at the end."),
        "LOSS": Value(bool, True, "Whether to compute the validation loss as well; the network runs once for both."),
        "BATCH_SIZE": Value(_Count | None, None, "Images per process and step in evaluation; null: as in training."),
        "THRESHOLDS": Value(
            Annotated[str, Predicate(_is_wish), "none, best_f1, precision>=P, recall>=R, or cost=A:M"],
            "none",
            "What score thresholds are chosen for, class by class, on the first data set of TEST, and kept in the checkpoint, "
            "which predict and the Predictor obey; cost=A:M: a false alarm costs A, a miss M; none: none are kept.",
        ),
        "EVALUATORS": ListOf(Component(EVALUATORS, wired=("info",)), ({"NAME": "CocoEvaluator"},), doc="What is computed."),
    },
    doc="How good the detector is.",
)

_HOOKS = ListOf(
    Component(
        HOOKS,
        wired=(
            *("model", "schedule", "checkpointer", "evaluations", "evaluation_period", "run_folder", "folder"),
            *("config_text", "cfg", "train_dataset", "info"),
        ),
    ),
    default=(
        {"NAME": "LearningRate"},
        {"NAME": "NonFiniteLoss"},
        {"NAME": "ParametersWithoutGradient"},
        {"NAME": "Evaluation"},
        {"NAME": "BestCheckpoint"},
        {"NAME": "PeriodicCheckpoint"},
        {"NAME": "MetricWriters"},
        {"NAME": "Report"},
    ),
    doc="What happens around the training steps, in this order.",
)

RUN_SCHEMA = Section(
    {
        "MODEL": _MODEL,
        "DATASETS": _DATASETS,
        "DATALOADER": _DATALOADER,
        "SOLVER": _SOLVER,
        "EVALUATION": _EVALUATION,
        "HOOKS": _HOOKS,
        "OUTPUT_DIR": Value(str | None, None, "Folder of the run; null: runs/<name of the config file>."),
        "SEED": Value(Annotated[int, Ge(0)], 0, "Seed of the weights, the order of images and the augmentations."),
        "PLUGINS": Value(list[str], [], "Python files that register components of your own."),
    },
    doc="A whole run.",
)
