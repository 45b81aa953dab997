import logging
import pickle

import pytest

from dettoolkit.data.transforms import Pipeline, TrainingLength, build_transforms
from dettoolkit.data.transforms.surroundings import Surroundings, apply_all
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Duration

LENGTH = TrainingLength(num_iterations=120, iterations_per_epoch=10, batch_size=8)  # 12 epochs


def build(last, inside=(), length=LENGTH):
    node = {"NAME": "ClosedAtEnd", "LAST": last, "TRANSFORMS": list(inside)}
    return build_transforms([node], "DATASETS.TRAIN_TRANSFORMS", length)[0]


@pytest.mark.parametrize(
    ("last", "iteration"),
    [("2ep", 100), ("0.5ep", 115), ("7it", 113), (7, 113), (0, 120), ("12ep", 0), ("99ep", 0)],
)
def test_the_end_begins_so_many_iterations_before_the_last(last, iteration):
    assert LENGTH.begin_of_last(Duration.parse(last)) == iteration * 8


def test_the_place_in_the_stream_decides(plain):
    transform = build("2ep", [{"NAME": "RandomHorizontalFlip", "P": 1.0}])
    sample = plain([(0, 0, 10, 10)])
    pipeline = Pipeline([transform])
    for position, left in ((0, 140), (799, 140), (800, 0), (959, 0), (5000, 0)):
        assert pipeline(sample, (0,), position=position)["boxes"].tolist()[0][0] == left


def test_what_is_closed_draws_no_other_samples(plain):
    drawn = []

    def draw():
        drawn.append(1)
        return plain()

    pipeline = Pipeline([build("2ep", [{"NAME": "Mosaic", "SIZE": [20, 20]}])])
    assert pipeline(plain(), (0,), draw, 799)["image"].shape == (3, 20, 20)
    assert len(drawn) == 3
    assert pipeline(plain(), (0,), draw, 800)["image"].shape == (3, 100, 150)
    assert len(drawn) == 3


def test_samples_that_are_mixed_in_are_as_far_as_the_sample(plain):
    resize = {"NAME": "Resize", "SIZE": [30, 30]}
    transforms = build_transforms(
        [{"NAME": "ClosedAtEnd", "LAST": "2ep", "TRANSFORMS": [resize]}, {"NAME": "MixUp"}], "T", LENGTH
    )
    assert Pipeline(transforms)(plain(), (0,), plain, 799)["image"].shape == (3, 30, 30)
    assert Pipeline(transforms)(plain(), (0,), plain, 800)["image"].shape == (3, 100, 150)


class Names:
    """Writes down which samples it mixes, and what they have passed."""

    num_extra_samples = 2

    def __call__(self, sample, extras):
        return f"{sample}+({','.join(extras)})"


def add(letter):
    return lambda sample: sample + letter


def test_what_is_drawn_has_passed_the_transforms_before_at_every_depth():
    inner = TRANSFORMS.get("Compose")([add("c"), Names(), add("d")])
    choice = TRANSFORMS.get("RandomChoice")([inner])
    always = TRANSFORMS.get("RandomApply")([add("b"), choice], p=1.0)
    drawn = iter("uvwxyz")
    out = apply_all([add("a"), always, add("e")], "s", Surroundings(lambda: next(drawn)))
    assert out == "sabc+(uabc,vabc)de"


def test_a_drawn_sample_passes_mixing_transforms_too():
    drawn = iter("uvwxyzpq")
    out = apply_all([Names(), add("a"), Names()], "s", Surroundings(lambda: next(drawn)))
    # what the second one draws, w and z, was mixed by the first with two more
    assert out == "s+(u,v)a+(w+(x,y)a,z+(p,q)a)"


def test_a_random_apply_that_does_nothing_draws_nothing(plain):
    node = {"NAME": "RandomApply", "P": 0.0, "TRANSFORMS": [{"NAME": "MixUp"}]}
    assert Pipeline(build_transforms([node], "T"))(plain(), draw=None)["image"].shape == (3, 100, 150)


def test_a_mixing_transform_without_others_says_so(plain):
    with pytest.raises(AssertionError, match="MixUp needs other samples, and there are none to draw from"):
        Pipeline(build_transforms([{"NAME": "MixUp"}], "T"))(plain())


def test_it_can_be_pickled():
    transform = pickle.loads(pickle.dumps(build("2ep", [{"NAME": "Mosaic", "SIZE": [20, 20]}])))
    assert transform.closed_from == 800


def test_a_training_that_is_all_end_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        build("12ep", [{"NAME": "MixUp"}, {"NAME": "RandomHorizontalFlip"}])
    assert "MixUp, RandomHorizontalFlip: never applied, since the training of 120 iterations is no longer than" in caplog.text


def test_only_a_training_has_an_end():
    with pytest.raises(ConfigError, match=r"TRAIN_TRANSFORMS.0 \(ClosedAtEnd\): only a training has a last epoch"):
        build("1ep", length=None)
    with pytest.raises(ConfigError, match=r"\(ClosedAtEnd\): expected iterations .* or epochs \('12ep'\), got 'soon'"):
        build("soon")
    with pytest.raises(ConfigError, match="TRAINING_LENGTH: is set by the parts around ClosedAtEnd, not in the config"):
        TRANSFORMS.build({"NAME": "ClosedAtEnd", "TRANSFORMS": [], "TRAINING_LENGTH": 3}, "T", training_length=LENGTH)
