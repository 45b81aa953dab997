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
        in_channels: channels of the images; null: as many as ``MODEL.INPUT.PIXEL_MEAN`` has numbers, or 3. Where they are other
            than three, timm makes its weights of the first convolution fit.
        freeze: whether the backbone is not trained.
        weights: what training starts from: ``timm://`` (timm's own weights of this model), a path or a URL; empty: random.

    Raises:
        MissingDependencyError: timm is not installed.
        ConfigError: timm has no such model, it gives no feature maps of strides 8, 16 and 32, or it takes images of one size.
    """

    def __init__(self, model: str, in_channels: int | None = None, freeze: bool = False, weights: str = "") -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise MissingDependencyError("the backbone Timm needs timm: pip install 'dettoolkit[timm]'") from error
        in_channels = 3 if in_channels is None else in_channels
        known = timm.list_models()
        if model.partition(".")[0] not in known:
            raise ConfigError(f"timm {timm.__version__} has no model {model!r}.{did_you_mean(model, known)}")
        try:
            self.body = _build(model, in_channels)
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
        if _wants_one_size(self.body):
            self.body = _for_any_size(model, in_channels)
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
        """Return the maps C2..C5 (those that the model has) of ``[N, C, H, W]`` images.

        Raises:
            ConfigError: the model does not take images of this size.
        """
        try:
            maps = self.body(images)
        except AssertionError as error:  # how timm's models refuse a size: windows that do not divide it, say
            size = " x ".join(str(pixels) for pixels in images.shape[-2:])
            raise ConfigError(
                f"timm's {self.model_name!r} takes no images of {size} pixels (height x width): {error}"
            ) from error
        if self._channels_last_output:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        return {name: x for name, x in zip(self._names, maps, strict=True) if name is not None}


def _build(model: str, in_channels: int, **options: Any) -> Any:
    import timm

    return timm.create_model(model, features_only=True, pretrained=False, in_chans=in_channels, **options)


def _wants_one_size(body: nn.Module) -> bool:
    """Whether the model refuses all images but those of the size that it was made for, as transformers of timm do."""
    return any(
        getattr(module, "strict_img_size", False) and getattr(module, "img_size", None) is not None for module in body.modules()
    )


def _for_any_size(model: str, in_channels: int) -> Any:
    """Return the model with the option by which its kind takes images of any size: windowed and global attention differ.

    Raises:
        ConfigError: it has no such option.
    """
    for options in ({"strict_img_size": False}, {"dynamic_img_size": True}):
        try:
            body = _build(model, in_channels, **options)
        except TypeError:  # timm's word for an option that the model does not have
            continue
        if not _wants_one_size(body):
            return body
    raise ConfigError(f"timm's {model!r} takes images of one size only, and those of a detector have many: take another model.")
