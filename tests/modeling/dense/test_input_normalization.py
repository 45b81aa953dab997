"""From pixels to what the network was trained on."""

from __future__ import annotations

import pytest
import torch

from dettoolkit.modeling.dense import InputNormalization


def test_pixels_minus_mean_over_deviation() -> None:
    images = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)
    x = InputNormalization("RGB", (5.0, 10.0, 15.0), (1.0, 2.0, 3.0))(images, [(1, 1)])
    assert x.flatten().tolist() == [5.0, 5.0, 5.0]


def test_mean_and_deviation_are_in_the_order_that_the_network_sees() -> None:
    images = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)  # RGB
    x = InputNormalization("BGR", (5.0, 10.0, 15.0), (1.0, 2.0, 1.0))(images, [(1, 1)])
    assert x.flatten().tolist() == [25.0, 5.0, -5.0]  # blue, green, red


def test_padding_is_zero_after_normalising_whatever_it_held() -> None:
    images = torch.full((2, 3, 4, 6), 200, dtype=torch.uint8)
    x = InputNormalization()(images, [(3, 5), (4, 6)])
    assert (x[0, :, 3:] == 0).all()
    assert (x[0, :, :, 5:] == 0).all()
    assert (x[0, :, :3, :5] != 0).all()
    assert (x[1] != 0).all()


def test_bytes_and_floats_give_the_same_and_stay_as_they_were() -> None:
    images = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    floats = images.float()
    assert InputNormalization()(images, [(4, 4)] * 2).equal(InputNormalization()(floats, [(4, 4)] * 2))
    assert floats.equal(images.float())


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_channels_last_stays_channels_last(order: str) -> None:
    images = torch.randint(0, 256, (2, 3, 6, 5), dtype=torch.uint8)
    normalization = InputNormalization(order)  # type: ignore[arg-type]
    x = normalization(images.to(memory_format=torch.channels_last), [(6, 5)] * 2)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.equal(normalization(images, [(6, 5)] * 2))


def test_pixels_of_the_image_may_have_a_gradient() -> None:
    images = torch.rand(1, 3, 4, 4, requires_grad=True)
    InputNormalization(pixel_std=(2.0, 2.0, 2.0))(images, [(3, 4)]).sum().backward()
    assert (images.grad[0, :, :3] == 0.5).all()
    assert (images.grad[0, :, 3:] == 0).all()


def test_one_channel() -> None:
    x = InputNormalization(pixel_mean=(100.0,), pixel_std=(50.0,))(torch.full((1, 1, 2, 2), 200.0), [(2, 2)])
    assert (x == 2).all()


def test_nothing_of_it_is_in_a_checkpoint() -> None:
    assert InputNormalization().state_dict() == {}


@pytest.mark.parametrize(
    ("mean", "std"), [((1.0, 2.0), (1.0,)), ((1.0,), (0.0,)), ((), ())], ids=["lengths", "zero deviation", "no channel"]
)
def test_lists_that_do_not_fit_are_shown(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected one mean and one positive std a channel, got"):
        InputNormalization("RGB", mean, std)


def test_images_that_do_not_fit_are_shown() -> None:
    normalization = InputNormalization()
    with pytest.raises(ValueError, match=r"\[N, 3, H, W\] and N sizes, got \[1, 4, 8, 8\] and 1 sizes"):
        normalization(torch.zeros(1, 4, 8, 8), [(8, 8)])
    with pytest.raises(ValueError, match=r"got \[2, 3, 8, 8\] and 1 sizes"):
        normalization(torch.zeros(2, 3, 8, 8), [(8, 8)])
    with pytest.raises(ValueError, match="an image size of 9 x 4 does not fit a batch of 8 x 8"):
        normalization(torch.zeros(1, 3, 8, 8), [(9, 4)])
