import itertools
import multiprocessing
import random
import sys

import numpy as np
import pytest
import torch

from dettoolkit.config import import_plugins
from dettoolkit.data.loader import build_test_loader, build_train_loader
from dettoolkit.data.samplers import TrainingSampler
from dettoolkit.errors import CheckpointError, ConfigError, DataError
from dettoolkit.structures import Batch

# a data set and a transform of the user's own: only the plugin file knows them, also in workers that start from nothing
PLUGIN = '''
import random

import numpy as np
import torch

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.records import Record
from dettoolkit.errors import DataError
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import DatasetInfo


class Noise(DetectionDataset):
    """Pictures of noise, wide and tall ones, with 0 to 3 boxes; `broken` names the error that the picture `bad` raises."""

    def __init__(self, count, bad=None, broken=None):
        self.bad, self.broken = bad, broken
        super().__init__(DatasetInfo("noise", ("a", "b")), [self._record(index) for index in range(count)])

    @staticmethod
    def _record(index):
        height, width = ((40, 60), (64, 48), (50, 50))[index % 3]
        near = np.array([[2.5, 3.5], [8, 9], [15, 16]], np.float32)[: index % 4]
        boxes = np.concatenate([near, near + [20, 14]], axis=1)
        flags = np.arange(len(boxes))
        return Record(index, f"{index}.png", height, width, boxes, flags % 2, flags == 2, flags + 280.0)

    def _image(self, record):
        if record.image_id == self.bad:
            raise {"data": DataError(f"{record.file_name}: is truncated"), "bug": ZeroDivisionError("oops")}[self.broken]
        generator = torch.Generator().manual_seed(record.image_id)
        return torch.randint(256, (3, record.height, record.width), generator=generator, dtype=torch.uint8)


@TRANSFORMS.register()
class AnyNoise:
    """Marks a picture with what torch, random and numpy draw."""

    def __call__(self, sample):
        marks = (int(torch.randint(256, ())), random.randrange(256), int(np.random.randint(256)))
        sample["image"][:, 0, 0] = torch.tensor(marks, dtype=torch.uint8)
        return sample
'''

AUGMENTATION = [
    {"NAME": "ResizeShortestEdge", "SIZES": [40, 48, 56], "MAX_SIZE": 90},
    {"NAME": "RandomIoUCrop"},
    {"NAME": "RandomHorizontalFlip"},
    {"NAME": "ColorJitter", "BRIGHTNESS": 0.3},
    {"NAME": "AnyNoise"},
]
PLAIN = [{"NAME": "ResizeShortestEdge", "SIZES": [48], "MAX_SIZE": 96}]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "noise_plugin.py"
    path.write_text(PLUGIN)
    import_plugins([path])
    return str(path)


@pytest.fixture(scope="module")
def noise(plugin):
    """The data set class of the plugin."""
    return next(module.Noise for name, module in sys.modules.items() if name.startswith("dettoolkit_plugin_noise_plugin"))


def train_loader(dataset, transforms=AUGMENTATION, **settings):
    return build_train_loader(dataset, transforms, **{"global_batch_size": 4, "seed": 7, **settings})


def take(loader, count):
    return list(itertools.islice(loader, count))


def names(batch: Batch):
    return [sample["file_name"] for sample in batch.samples]


def assert_same(one: Batch, other: Batch):
    assert names(one) == names(other)
    assert len(one) > 0
    assert one.image_sizes == other.image_sizes
    assert torch.equal(one.images, other.images)
    for target, other_target in zip(one.targets, other.targets, strict=True):
        for name in ("boxes", "labels", "ignore"):
            a, b = getattr(target, name), getattr(other_target, name)
            assert type(a) is type(b) is torch.Tensor
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
    for sample, other_sample in zip(one.samples, other.samples, strict=True):
        assert sample.keys() == other_sample.keys()
        assert torch.equal(sample["original"].boxes, other_sample["original"].boxes)
        assert torch.equal(sample["original_areas"], other_sample["original_areas"])
        assert sample.get("way_back") == other_sample.get("way_back")


@pytest.mark.parametrize(("num_workers", "start_method"), [(1, "fork"), (2, "fork"), (1, "spawn")])
def test_batches_are_the_same_to_the_bit_with_any_workers(noise, plugin, num_workers, start_method):
    expected = take(train_loader(noise(11)), 8)
    loader = train_loader(noise(11), num_workers=num_workers, start_method=start_method, plugins=[plugin])
    for one, other in zip(expected, take(loader, 8), strict=True):
        assert_same(one, other)


def test_two_processes_share_the_batch_of_one(noise):
    settings = {"global_batch_size": 8, "pad_to": (90, 90)}
    whole = take(train_loader(noise(13), **settings), 5)
    halves = [take(train_loader(noise(13), **settings, rank=rank, world_size=2), 5) for rank in (0, 1)]
    for one, *shares in zip(whole, *halves, strict=True):
        for rank, share in enumerate(shares):
            assert torch.equal(one.images[rank::2], share.images)
            assert names(one)[rank::2] == names(share)
            for target, other in zip(one.targets[rank::2], share.targets, strict=True):
                assert torch.equal(target.boxes, other.boxes)


def test_accumulation_splits_a_global_batch_in_order(noise):
    whole = [names(batch) for batch in take(train_loader(noise(13), global_batch_size=8), 3)]
    # rank 1 of 2 with 2 micro-batches of 4: items 1 and 3 of the first half, then of the second half
    share = train_loader(noise(13), global_batch_size=8, accumulate=2, rank=1, world_size=2)
    expected = [half for batch in whole for half in ([batch[1], batch[3]], [batch[5], batch[7]])]
    assert [names(batch) for batch in take(share, 6)] == expected


def test_a_batch_holds_one_orientation(noise):
    for batch in take(train_loader(noise(24), PLAIN), 20):
        assert len({width > height for height, width in batch.image_sizes}) == 1


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resuming_gives_the_batches_of_a_run_that_was_never_stopped(noise, num_workers):
    # 2 micro-batches a step; the workers are ahead of what was taken
    settings = {"accumulate": 2, "num_workers": num_workers, "start_method": "fork" if num_workers else None}
    whole = take(train_loader(noise(11), **settings), 16)
    first = train_loader(noise(11), **settings)
    take(first, 7)
    state = first.state_dict()
    assert state["batches_taken"] == 3  # the fourth global batch was taken by half
    second = train_loader(noise(11), **settings)
    second.load_state_dict(state)
    for one, other in zip(whole[6:], take(second, 10), strict=True):
        assert_same(one, other)


def test_iterating_again_goes_on_after_the_last_whole_batch(noise):
    whole = take(train_loader(noise(11)), 5)
    loader = train_loader(noise(11))
    for one, other in zip(whole, take(loader, 2) + take(loader, 3), strict=True):
        assert_same(one, other)


def test_another_stream_is_not_continued(noise):
    state = train_loader(noise(11)).state_dict()
    with pytest.raises(CheckpointError, match=r"cannot be continued: batch_size was 4 and is 8, images was 11 and is 12\."):
        train_loader(noise(12), global_batch_size=8).load_state_dict(state)


def test_the_state_is_plain_data_and_the_same_on_all_ranks(noise):
    states = []
    for rank in (0, 1):
        loader = train_loader(noise(11), rank=rank, world_size=2)
        take(loader, 3)
        states.append(loader.state_dict())
    assert states[0] == states[1]
    assert {type(value) for value in states[0]["stream"].values()} <= {int, bool}


def test_the_random_states_of_the_process_are_left_alone(noise):
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = states()
    take(train_loader(noise(11)), 3)
    take(train_loader(noise(11), num_workers=1, start_method="fork"), 3)
    list(build_test_loader(noise(3), PLAIN, batch_size=2))
    assert states() == before


def test_batches_are_padded_to_one_size_or_to_a_multiple(noise):
    assert {batch.images.shape for batch in take(train_loader(noise(11), PLAIN, pad_to=[96, 100]), 4)} == {(4, 3, 96, 100)}
    for batch in take(train_loader(noise(11), PLAIN, divisibility=32), 4):
        assert all(side % 32 == 0 for side in batch.images.shape[-2:])


def test_an_image_larger_than_the_padded_size_is_named(noise):
    with pytest.raises(DataError, match=r"does not fit DATALOADER.PAD_TO \[32, 32\]; the images are \d+.png, \d+.png"):
        take(train_loader(noise(11), PLAIN, pad_to=[32, 32]), 1)


@pytest.mark.parametrize(("pad_to", "side"), [(72, 96), (96, 96), (100, 128)])
def test_a_number_to_pad_to_is_rounded_up_to_what_the_network_can_take(noise, pad_to, side):
    batches = take(train_loader(noise(11), PLAIN, pad_to=pad_to, divisibility=32), 4)  # sides are 40 to 64
    assert {batch.images.shape[-2:] for batch in batches} == {(side, side)}


@pytest.mark.parametrize("pad_to", [[96], [96, 0], [1, 2, 3], 0, -32])
def test_a_padded_size_is_two_lengths_or_a_number(noise, pad_to):
    with pytest.raises(
        ConfigError, match=r"DATALOADER.PAD_TO: expected \[height, width\], a number of at least 1 or null, got "
    ):
        train_loader(noise(4), pad_to=pad_to)


def test_a_batch_that_cannot_be_divided_is_refused_with_the_numbers(noise):
    with pytest.raises(ConfigError, match=r"SOLVER.BATCH_SIZE: 12 images .* 2 accumulated .* 4 process.*a multiple of 8"):
        train_loader(noise(4), global_batch_size=12, accumulate=2, world_size=4)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unreadable_image_is_reported_by_name_and_without_a_traceback(noise, num_workers):
    dataset = noise(5, bad=3, broken="data")
    loader = train_loader(dataset, num_workers=num_workers, start_method="fork" if num_workers else None)
    with pytest.raises(DataError) as caught:
        take(loader, 2)
    hint = "Repair the file, or set DATASETS.ON_BAD: drop to leave out what is broken."
    assert str(caught.value) == f"3.png: is truncated. {hint}"


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_of_the_program_keeps_its_traceback_and_names_the_file(noise, num_workers):
    dataset = noise(5, bad=3, broken="bug")
    loader = train_loader(dataset, num_workers=num_workers, start_method="fork" if num_workers else None)
    with pytest.raises(RuntimeError, match=r"3.png: ZeroDivisionError: oops"):
        take(loader, 2)


def test_workers_end_with_the_iteration(noise):
    before = len(multiprocessing.active_children())
    batches = iter(train_loader(noise(5), num_workers=2, start_method="fork"))
    next(batches)
    assert len(multiprocessing.active_children()) == before + 2
    del batches
    assert len(multiprocessing.active_children()) == before


@pytest.mark.parametrize("world_size", [1, 3, 8])
def test_each_test_image_comes_once_and_finds_the_way_back(noise, world_size):
    transforms = [*PLAIN, {"NAME": "Pad", "PADDING": [3, 4, 5, 6]}, {"NAME": "RandomHorizontalFlip", "P": 1.0}]
    dataset, seen = noise(7), []
    for rank in range(world_size):
        loader = build_test_loader(dataset, transforms, batch_size=2, rank=rank, world_size=world_size)
        batches = list(loader)
        assert len(batches) == len(loader)
        for batch in batches:
            for sample, target in zip(batch.samples, batch.targets, strict=True):
                back = sample["way_back"].boxes(target.boxes, sample["original_size"])
                torch.testing.assert_close(back, sample["original"].boxes, rtol=0, atol=1e-3)
                assert torch.equal(target.ignore, sample["original"].ignore)
                seen.append(sample["image_id"])
    assert seen == list(range(7))


def test_the_test_loader_can_be_iterated_again_with_the_same_workers(noise):
    loader = build_test_loader(noise(5), PLAIN, batch_size=2, num_workers=1, start_method="fork")
    first, second = list(loader), list(loader)
    assert len(first) == len(second) == 3
    for one, other in zip(first, second, strict=True):
        assert_same(one, other)


def test_the_sampler_of_the_config_is_built(noise):
    loader = train_loader(noise(5), sampler_node={"NAME": "TrainingSampler", "SHUFFLE": False, "ASPECT_GROUPING": False})
    assert isinstance(loader.sampler, TrainingSampler)
    assert names(take(loader, 1)[0]) == ["0.png", "1.png", "2.png", "3.png"]
    assert loader.batches_per_epoch == 2  # 5 images by 4
