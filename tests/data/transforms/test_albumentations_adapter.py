import importlib.util
import pickle
from importlib import metadata

import pytest
import torch

from dettoolkit.data.transforms import Pipeline, build_transforms
from dettoolkit.errors import ConfigError, MissingDependencyError

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("albumentations") is None,
    reason="albumentations is not installed: pip install 'dettoolkit[albumentations]'",
)


def build(*nodes):
    return build_transforms([{"NAME": "Albumentations", "TRANSFORMS": list(nodes)}], "T")[0]


@pytest.fixture
def sample(plain):
    """Noise with an object, and an ignore region."""
    given = plain([(10.5, 20, 40, 60), (100, 5, 140, 30)], ignore=[False, True])
    given["image"].copy_(torch.randint(256, (3, 100, 150), generator=torch.Generator().manual_seed(0)))
    return given


@needs_library
def test_a_flip_is_torchvisions(sample):
    ours = build({"NAME": "HorizontalFlip", "P": 1.0})(sample)
    theirs = build_transforms([{"NAME": "RandomHorizontalFlip", "P": 1.0}], "T")[0](sample)
    assert torch.equal(ours["image"], theirs["image"])
    torch.testing.assert_close(ours["boxes"].as_subclass(torch.Tensor), theirs["boxes"].as_subclass(torch.Tensor))
    assert ours["labels"].tolist() == [0, 1]
    assert ours["ignore"].tolist() == [False, True]
    assert ours["file_name"] == "a.png"


@needs_library
def test_labels_and_marks_stay_with_their_boxes_where_some_leave(sample):
    # of 150 columns the right half, which has the ignore region alone
    out = build({"NAME": "Crop", "X_MIN": 75, "Y_MIN": 0, "X_MAX": 150, "Y_MAX": 100, "P": 1.0})(sample)
    assert out["image"].shape == (3, 100, 75)
    assert (out["labels"].tolist(), out["ignore"].tolist()) == ([1], [True])
    torch.testing.assert_close(out["boxes"].as_subclass(torch.Tensor), torch.tensor([[25.0, 5.0, 65.0, 30.0]]))


@needs_library
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_boxes_that_reach_out_or_have_no_area_and_any_number_of_channels(plain, channels):
    given = plain([(-5, -5, 20, 20), (30, 30, 30, 50)], channels=channels)
    out = build({"NAME": "VerticalFlip", "P": 1.0})(given)
    assert out["image"].shape == (channels, 100, 150)
    torch.testing.assert_close(out["boxes"].as_subclass(torch.Tensor), torch.tensor([[0.0, 80.0, 20.0, 100.0]]))
    assert out["labels"].tolist() == [0]
    assert build({"NAME": "VerticalFlip", "P": 1.0})(plain(channels=channels))["boxes"].shape == (0, 4)


@needs_library
def test_random_numbers_depend_on_the_seed_alone_and_transforms_are_independent(sample):
    flips = Pipeline([build({"NAME": "HorizontalFlip"}, {"NAME": "VerticalFlip"})])
    outs = [flips(sample, (seed,)) for seed in range(40)]
    corners = [tuple(round(side) for side in out["boxes"].tolist()[0][:2]) for out in outs]
    assert set(corners) == {(10, 20), (110, 20), (10, 40), (110, 40)}  # none, one, the other, both
    for seed, out in enumerate(outs):
        assert torch.equal(flips(sample, (seed,))["image"], out["image"])


@needs_library
def test_transforms_inside_of_others_and_lower_case(sample):
    blur = {"NAME": "GaussianBlur", "blur_limit": [3, 5], "p": 1.0}
    out = build({"NAME": "OneOf", "P": 1.0, "TRANSFORMS": [blur, {"NAME": "RandomBrightnessContrast", "P": 1.0}]})(sample)
    assert not torch.equal(out["image"], sample["image"])
    torch.testing.assert_close(out["boxes"].as_subclass(torch.Tensor), sample["boxes"].as_subclass(torch.Tensor))


@needs_library
def test_it_can_be_pickled(sample):
    transform = build({"NAME": "Rotate", "LIMIT": [-20, 20], "P": 1.0})
    one, other = (Pipeline([given])(sample, (3,)) for given in (transform, pickle.loads(pickle.dumps(transform))))
    assert torch.equal(one["image"], other["image"])
    assert not torch.equal(one["image"], sample["image"])


@needs_library
@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"NAME": "HorizontalFlop"}, r"TRANSFORMS.0.NAME: Albumentations [\d.]+ has no 'HorizontalFlop'. Did you mean 'Hor"),
        ({"NAME": "Rotate", "LIMITS": [1, 2]}, "TRANSFORMS.0: Rotate has no 'LIMITS'. Did you mean 'limit'.*Accepted: LIMIT"),
        ({"NAME": "Rotate", "P": 3.0}, r"T.0 \(Albumentations\): TRANSFORMS.0 \(Rotate\): "),
        ({"P": 1.0}, "TRANSFORMS.0: expected a mapping with NAME, a transform of Albumentations, got"),
        ({"NAME": "OneOf", "TRANSFORMS": [{"NAME": "Blurr"}]}, "TRANSFORMS.0.TRANSFORMS.0.NAME: .* has no 'Blurr'. Did you"),
    ],
)
def test_what_the_library_does_not_take_is_told(node, message):
    with pytest.raises(ConfigError, match=message):
        build(node)


@needs_library
def test_an_image_that_is_no_longer_of_whole_numbers_is_told(sample):
    with pytest.raises(ConfigError, match=r"an image of torch.uint8 became .*float32.*leave out Normalize"):
        build({"NAME": "Normalize"})(sample)


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ({}, r"Albumentations needs albumentations 2: pip install 'dettoolkit\[albumentations\]'$"),
        ({"albumentations": "1.4.24"}, "needs albumentations 2: .* Installed is 1.4.24"),
        ({"albumentations": "2.0.8", "albumentationsx": "2.1.0"}, "AlbumentationsX, which is installed, is under the AGPL"),
    ],
)
def test_a_library_that_is_not_there_or_another_one_is_told(monkeypatch, installed, message):
    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(MissingDependencyError, match=message):
        build({"NAME": "HorizontalFlip"})
