"""Figure 1 of the focal-loss paper: the loss against p_t, computed by the losses themselves.

python benchmarks/paper_figure_1.py [--output docs/figures/focal_loss.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from dettoolkit.modeling.losses import CrossEntropyLoss, FocalLoss
from dettoolkit.visualization import save_picture
from dettoolkit.visualization.chart_pictures import chart_picture
from dettoolkit.visualization.plots import Series

GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
COLORS = ("#2b5fd9", "#d9482b", "#d9a514", "#7b3fb5", "#2f9e44")
NUM_POINTS = 397


def curves() -> list[Series]:
    """Return the loss of one output against p_t for each gamma, without alpha; the range begins where cross-entropy is 5."""
    p_t = torch.linspace(0.007, 0.9975, NUM_POINTS, dtype=torch.float64)
    logits, labels = torch.logit(p_t)[:, None], torch.zeros(NUM_POINTS, dtype=torch.int64)
    series = []
    for gamma, color in zip(GAMMAS, COLORS, strict=True):
        loss = FocalLoss(alpha=None, gamma=gamma) if gamma else CrossEntropyLoss()
        name = f"gamma = {gamma:g}" if gamma else "cross-entropy (gamma = 0)"
        series.append(Series(name, p_t.tolist(), loss(logits, labels, by_anchor=True).tolist(), color))
    return series


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/figures/focal_loss.png"))
    output = parser.parse_args(arguments).output
    title = "FL(p_t) = -(1 - p_t)^gamma log(p_t)"
    picture = chart_picture(curves(), title, "p_t, the probability of the true answer", "loss", (0, 1), (0, 5))
    save_picture(picture, output)
    print(f"written to {output}")


if __name__ == "__main__":
    main()
