"""Synthetic scenes: textured, so that shifts can be told, and all of one kind, so that pictures look alike."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

Scene = Callable[[int, int, int], Tensor]


@pytest.fixture(scope="session")
def scene() -> Scene:
    """``scene(seed, height, width)``: light ground with dark discs at random, as under a microscope, uint8 ``[3, H, W]``."""

    def draw(seed: int, height: int, width: int) -> Tensor:
        generator = np.random.default_rng(seed)
        picture = np.full((height, width, 3), (215, 205, 200), np.uint8)
        for _ in range(height * width // 4000):
            center = generator.integers(0, (width, height)).tolist()
            color = generator.integers((150, 90, 100), (210, 160, 170)).tolist()
            cv2.circle(picture, center, int(generator.integers(12, 40)), color, -1, cv2.LINE_AA)
        noise = generator.normal(0, 2, picture.shape)
        return torch.from_numpy((picture + noise).clip(0, 255).astype(np.uint8)).permute(2, 0, 1)

    return draw
