from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch

from dettoolkit.data.datasets.shapes import ShapesDataset
from dettoolkit.data.datasets.shapes_forms import CLASSES, DISTRACTORS, Dice, bounds, draw_mask
from dettoolkit.registry import DATASETS

# pixels, boxes and labels of pictures 0, 1 and 17; a change of any of them is another version of the data set
FROZEN = {
    ("train", 256): "8fc7ebebc03776f1f557e2a623271798e90b21a1bd16a648f28727f3e36b1a51",
    ("val", 256): "3b1b8284f91cef3b6b9a2e7dfdd3795ef107debc26536161605c5f55d86ae987",
    ("test", 256): "84026c17dfb557eee6a7fdb8997093801c8fcc1036defe281eabac422e86225b",
    ("train", 64): "79ef38ae777e3797312e54e6762d8c7e200e5790658b2d0532c307d39903a844",
}
# areas on paper: pi; pi (1 - 0.3); 1.4 ** 2; 3 sqrt(3) / 4 of the inscribed triangle; two bars 1.9 x 0.6 less the middle;
# a pentagram of circumradius 1 has 5 r sin(36 degrees), r = 0.381966 its inner radius
AREAS = {"disc": 3.14159, "ring": 2.19911, "square": 1.96, "triangle": 1.29904, "cross": 1.92, "star": 1.12257}


@pytest.fixture(scope="module")
def shapes() -> ShapesDataset:
    return ShapesDataset("train", num_images=250)


def _digest(split: str, size: int) -> str:
    dataset = ShapesDataset(split, num_images=18, image_size=size)
    digest = hashlib.sha256()
    for index in (0, 1, 17):
        sample = dataset[index]
        digest.update(sample["image"].contiguous().numpy().tobytes())
        digest.update(sample["boxes"].numpy().astype("<f4").tobytes())
        digest.update(sample["labels"].numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _mean_colours(dataset: ShapesDataset, pictures: range) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each channel over what is seen of each owner, and its class: -1 for background."""
    features, labels = [], []
    for index in pictures:
        scene, image = dataset.scene(index), dataset[index]["image"].numpy()
        for number, label in [*zip(scene.numbers, scene.labels, strict=True), *((region, -1) for region in range(4))]:
            pixels = image[:, scene.owners == number]
            if pixels.shape[1] >= 30:
                features.append([*pixels.mean(axis=1), *pixels.std(axis=1)])
                labels.append(label)
    return np.array(features), np.array(labels)


def _accuracy_of_neighbours(features: np.ndarray, labels: np.ndarray, num_known: int) -> tuple[float, int]:
    """Return how often the 15 nearest of the first ``num_known`` agree with each of the others, and the number of these."""
    features = features / features.std(axis=0)
    known, asked = features[:num_known], features[num_known:]
    nearest = np.square(asked[:, None] - known).sum(axis=2).argsort(axis=1)[:, :15]
    guesses = [np.bincount(votes).argmax() for votes in labels[nearest]]
    return float(np.mean(guesses == labels[num_known:])), len(asked)


@pytest.mark.parametrize(("split", "size"), FROZEN)
def test_version_1_is_frozen(split: str, size: int) -> None:
    assert _digest(split, size) == FROZEN[split, size]


def test_splits_share_no_picture() -> None:
    pictures = [
        dataset[index]["image"].numpy().tobytes()
        for dataset in (ShapesDataset("train", 30), ShapesDataset("val", 30), ShapesDataset("test", 30))
        for index in range(30)
    ]
    assert len(set(pictures)) == 90


def test_longer_split_begins_with_the_shorter_one(shapes: ShapesDataset) -> None:
    short = ShapesDataset("train", num_images=3)
    assert torch.equal(short[2]["image"], shapes[2]["image"])
    assert torch.equal(short[2]["boxes"], shapes[2]["boxes"])


def test_pictures_depend_on_no_global_random_state(shapes: ShapesDataset) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = shapes[4]["image"]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert torch.equal(first, shapes[4]["image"])


def test_sample_has_the_types_of_the_contract(shapes: ShapesDataset) -> None:
    sample = shapes[0]
    assert sample["image"].dtype == torch.uint8
    assert sample["image"].shape == (3, 256, 256)
    assert sample["boxes"].dtype == torch.float32
    assert sample["labels"].dtype == torch.int64
    assert not sample["ignore"].any()
    assert torch.equal(shapes.read_image(0), sample["image"])


def test_objects_number_3_to_12_with_sides_of_12_to_192(shapes: ShapesDataset) -> None:
    assert set(shapes.records.num_boxes.tolist()) == set(range(3, 13))
    sides = np.concatenate([record.boxes[:, 2:] - record.boxes[:, :2] for record in shapes.records])
    assert sides.min() == 12
    assert 180 <= sides.max() <= 192
    # the octaves of diameters weigh 1, 3, 3 and 1 of 8, and sides are shorter than diameters
    octaves = np.histogram(sides.max(axis=1), [12, 24, 48, 96, 193])[0] / len(sides)
    assert octaves.min() > 0.1


def test_classes_are_equally_frequent(shapes: ShapesDataset) -> None:
    counts = np.bincount(np.concatenate([record.labels for record in shapes.records]), minlength=6)
    expected = counts.sum() / 6
    # 20.5 is the 99.9th percentile of chi-square with 5 degrees of freedom
    assert ((counts - expected) ** 2 / expected).sum() < 20.5


def test_more_than_a_quarter_of_the_objects_is_partly_hidden_and_none_by_more_than_two_fifths(shapes: ShapesDataset) -> None:
    visible = np.concatenate([shapes.scene(index).visible_shares() for index in range(len(shapes))])
    assert (visible <= 0.9).mean() > 0.4
    assert visible.min() >= 0.6
    assert visible.max() == 1.0


def test_boxes_of_objects_in_full_view_are_tight_and_the_others_hold_what_is_seen(shapes: ShapesDataset) -> None:
    for index in range(40):
        scene, record = shapes.scene(index), shapes.records[index]
        assert record.boxes.tolist() == [list(map(float, box)) for box in scene.boxes]
        for number, box, area, visible in zip(scene.numbers, scene.boxes, record.areas, scene.visible_shares(), strict=True):
            seen = bounds(scene.owners == number)
            if visible == 1.0:
                assert seen == box
                assert area == np.count_nonzero(scene.owners == number)
            assert seen[0] >= box[0]
            assert seen[1] >= box[1]
            assert seen[2] <= box[2]
            assert seen[3] <= box[3]


def test_colour_does_not_tell_the_class(shapes: ShapesDataset) -> None:
    features, labels = _mean_colours(shapes, range(250))
    features, labels = features[labels >= 0], labels[labels >= 0]
    accuracy, count = _accuracy_of_neighbours(features, labels, num_known=len(labels) // 2)
    # chance is a sixth; four standard deviations of a binomial above it
    assert accuracy < 1 / 6 + 4 * (5 / 36 / count) ** 0.5


def test_mean_colour_does_not_tell_objects_from_background(shapes: ShapesDataset) -> None:
    features, labels = _mean_colours(shapes, range(250))
    objects, regions = features[labels >= 0, :3], features[labels == -1, :3]
    count = min(len(objects), len(regions))
    mixed = np.stack([objects[:count], regions[:count]], axis=1).reshape(-1, 3)
    accuracy, asked = _accuracy_of_neighbours(mixed, np.arange(2 * count) % 2, num_known=count)
    # chance is a half; four standard deviations of a binomial above it
    assert accuracy < 1 / 2 + 4 * (1 / 4 / asked) ** 0.5


@pytest.mark.parametrize("name", CLASSES)
def test_forms_have_the_areas_of_their_figures(name: str) -> None:
    pixels = np.count_nonzero(draw_mask(CLASSES[name], diameter=400, direction=(0.8, 0.6), slant=0.75))
    assert pixels / (200 * 200 * 0.75) == pytest.approx(AREAS[name], rel=0.01)


def test_distractors_are_no_class_and_smaller_than_the_one_they_resemble() -> None:
    upright = (1.0, 0.0)
    resembles = {"half disc": "disc", "arc": "ring", "angle": "square", "chevron": "triangle", "tee": "cross"}
    assert not set(CLASSES) & set(DISTRACTORS)
    for distractor, name in resembles.items():
        piece, whole = (
            np.count_nonzero(draw_mask(form, 200, upright, 1.0)) for form in (DISTRACTORS[distractor], CLASSES[name])
        )
        assert piece < 0.9 * whole


def test_dice_are_the_high_bits_of_the_raw_stream() -> None:
    raw = np.random.PCG64(np.random.SeedSequence((1, 2, 3))).random_raw(300)
    dice = Dice(1, 2, 3)
    assert [dice.below(6) for _ in range(256)] == [int(number) * 6 // 2**64 for number in raw[:256]]
    assert dice.bytes(8).tolist() == [int(raw[256]) >> shift & 255 for shift in range(0, 64, 8)]


def test_directions_have_length_1_and_point_everywhere() -> None:
    dice = Dice(0)
    directions = np.array([dice.direction() for _ in range(2000)])
    assert np.hypot(*directions.T) == pytest.approx(1.0)
    angles = np.degrees(np.arctan2(directions[:, 1], directions[:, 0])) % 360
    assert np.histogram(angles, 36, (0, 360))[0].min() > 25  # 55 of each ten degrees on average


def test_bounds_of_nothing_are_zeros() -> None:
    assert bounds(np.zeros((3, 4), np.bool_)) == (0, 0, 0, 0)


def test_bounds_are_half_open() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[1, 2] = mask[3, 4] = True
    assert bounds(mask) == (2, 1, 5, 4)


def test_pickles(shapes: ShapesDataset) -> None:
    copy = pickle.loads(pickle.dumps(shapes))
    assert torch.equal(copy[7]["image"], shapes[7]["image"])
    assert copy.info == shapes.info


def test_tiny_pictures_have_1_to_3_objects_with_sides_of_12_to_48() -> None:
    tiny = ShapesDataset("train", num_images=60, image_size=64)
    sides = np.concatenate([record.boxes[:, 2:] - record.boxes[:, :2] for record in tiny.records])
    assert tiny[0]["image"].shape == (3, 64, 64)
    assert set(tiny.records.num_boxes.tolist()) == {1, 2, 3}
    assert 12 <= sides.min() < sides.max() <= 48


@pytest.mark.parametrize("size", [128, 512])
def test_other_sizes_scale_the_number_of_objects(size: int) -> None:
    numbers = ShapesDataset("val", num_images=25, image_size=size).records.num_boxes
    assert 3 * size // 256 <= numbers.min() < numbers.max() <= 12 * size // 256


def test_config_builds_it_with_the_wired_values() -> None:
    wired = {"name": "mine", "root": "data", "on_bad": "drop", "empty_images": "drop"}
    dataset = DATASETS.build({"NAME": "ShapesDataset", "SPLIT": "val", "NUM_IMAGES": 2}, "DATASETS.CATALOG.mine", **wired)
    assert dataset.info.name == "mine"
    assert dataset.info.class_names == ("disc", "ring", "square", "triangle", "cross", "star")
    assert len(dataset) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "trian"}, r"split: expected one of train, val, test, got 'trian'"),
        ({"split": "val", "num_images": 0}, "num_images: expected 1 or more, got 0"),
        ({"split": "val", "image_size": 100}, "image_size: expected one of 64, 128, 256, 512, got 100"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_accepted(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShapesDataset(**arguments)
