"""Any model of timm that gives feature maps."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dettoolkit.errors import ConfigError, MissingDependencyError, did_you_mean
from dettoolkit.registry import BACKBONES


@BACKBONES.register()
class Timm(nn.Module):
    """A backbone of the timm library (extra ``timm``).

    Its feature maps are named by their strides: 4 is C2, 8 is C3, 16 is C4, 32 is C5.

    Args:
        model: timm's name of the model, e.g. ``mobilenetv3_large_100``.
        in_channels: channels of the images.
        freeze: whether the backbone is not trained.
        weights: what training starts from: ``timm://`` (timm's own weights of this model), a path or a URL; empty: random.

    Raises:
        MissingDependencyError: timm is not installed.
        ConfigError: timm has no such model, or it gives no feature maps of strides 8, 16 and 32.
    """

    def __init__(self, model: str, in_channels: int = 3, freeze: bool = False, weights: str = "") -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise MissingDependencyError("the backbone Timm needs timm: pip install 'dettoolkit[timm]'") from error
        known = timm.list_models()
        if model.partition(".")[0] not in known:
            raise ConfigError(f"timm {timm.__version__} has no model {model!r}.{did_you_mean(model, known)}")
        try:
            self.body = timm.create_model(model, features_only=True, pretrained=False, in_chans=in_channels)
        except (RuntimeError, AttributeError, AssertionError) as error:
            raise ConfigError(f"timm's {model!r} gives no feature maps: {error}") from error
        levels = {2**level: f"C{level}" for level in range(2, 6)}
        feature_info: Any = self.body.feature_info
        info = list(zip(feature_info.reduction(), feature_info.channels(), strict=True))
        self._names = [levels.get(reduction) for reduction, _ in info]  # None: stride 2, which no neck takes
        self.strides = {levels[reduction]: reduction for reduction, _ in info if reduction in levels}
        self.channels = {levels[reduction]: channels for reduction, channels in info if reduction in levels}
        if not {"C3", "C4", "C5"} <= set(self.strides):
            raise ConfigError(f"timm's {model!r} has maps of strides {[r for r, _ in info]}; a detector needs 8, 16 and 32")
        self._channels_last_output = getattr(self.body, "output_fmt", None) is not None and str(self.body.output_fmt).endswith(
            "NHWC"
        )
        self.weights, self.model_name, self.in_channels = weights, model, in_channels
        self.has_frozen_stages = freeze
        self.requires_grad_(not freeze).train()

    def train(self, mode: bool = True) -> Timm:
        """Set the mode; a frozen backbone stays in eval mode."""
        return super().train(mode and not self.has_frozen_stages)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps C2..C5 (those that the model has) of ``[N, C, H, W]`` images."""
        maps = self.body(images)
        if self._channels_last_output:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        return {name: x for name, x in zip(self._names, maps, strict=True) if name is not None}
