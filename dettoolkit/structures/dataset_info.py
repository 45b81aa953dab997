"""DatasetInfo: what the rest of the toolkit may know of a data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DatasetInfo:
    """The names of a data set's classes and the category ids of its files.

    It travels with checkpoints as plain data, so that a predictor needs nothing else.

    Args:
        name: the name in ``DATASETS.CATALOG``.
        class_names: ``[K]`` names; label k is ``class_names[k]``.
        category_ids: ``[K]`` ids in the annotation files; label k is ``category_ids[k]`` there. Empty: 0..K-1.

    Raises:
        ValueError: the ids do not go with the names, or an id or a name stands twice.
    """

    name: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.category_ids:
            object.__setattr__(self, "category_ids", tuple(range(len(self.class_names))))
        if len(self.category_ids) != len(self.class_names):
            raise ValueError(f"{self.name}: {len(self.class_names)} class names, {len(self.category_ids)} category ids")
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"{self.name}: a class name stands twice in {self.class_names}")
        if len(set(self.category_ids)) != len(self.category_ids):
            raise ValueError(f"{self.name}: a category id stands twice in {self.category_ids}")

    @property
    def num_classes(self) -> int:
        """K, objects only."""
        return len(self.class_names)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint or a JSON file."""
        return {"name": self.name, "class_names": list(self.class_names), "category_ids": list(self.category_ids)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DatasetInfo:
        """Return what :meth:`to_dict` wrote."""
        return cls(data["name"], tuple(data["class_names"]), tuple(data["category_ids"]))
