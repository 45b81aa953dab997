"""The detector: parts in their folders, put together by a meta-architecture. Nothing is imported before it is asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dettoolkit.modeling.meta_archs import build_model

__all__ = ["build_model"]


def __getattr__(name: str) -> Any:
    if name == "build_model":
        from dettoolkit.modeling.meta_archs import build_model

        return build_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
