"""Settings: Detectron2's keys with their values, defaults included, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dettoolkit.config.detectron2.defaults import DEFAULTS, NO_INFLUENCE, OTHER_MODELS, TYPES
from dettoolkit.config.detectron2.reading import Given
from dettoolkit.errors import ConfigError, did_you_mean
from dettoolkit.registry.signature import coerce

_TRUTH = {"yes": True, "on": True, "no": False, "off": False}  # YAML 1.1, which Detectron2 reads


@dataclass(frozen=True)
class Finding:
    """A key that is not converted.

    Args:
        key: Detectron2's; ``SECTION.*`` for a whole section.
        why: what it means for the result.
        place: where it was set; empty where it is Detectron2's default.
    """

    key: str
    why: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.key}{f' ({self.place})' if self.place else ''}: {self.why}"


@dataclass
class Settings:
    """The keys of a Detectron2 config. Reading one notes that something was made of it.

    Args:
        given: what files and overrides say, by dotted key.

    Raises:
        ConfigError: values of another type than Detectron2's defaults; all of them in one message.
    """

    given: Mapping[str, Given]
    lost: list[Finding] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)
    _values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mistakes = []
        for key, given in self.given.items():
            if key in DEFAULTS and key not in NO_INFLUENCE:
                try:
                    self._values[key] = _coerced(key, given.value)
                except ConfigError as error:
                    mistakes.append(f"  {key} ({given.place}): {error}")
        if mistakes:
            raise ConfigError("values that Detectron2 does not take either:\n" + "\n".join(mistakes))

    def __getitem__(self, key: str) -> Any:
        self._used.add(key)
        return self._values.get(key, DEFAULTS[key])

    def place(self, key: str) -> str:
        """Return where a key was set, or an empty string where it is Detectron2's default."""
        return self.given[key].place if key in self.given else ""

    def lose(self, key: str, why: str, also: Iterable[str] = ()) -> None:
        """Note that results will differ because of ``key``; the keys in ``also`` say only more about it."""
        self._used |= {key, *also}
        self.lost.append(Finding(key, why, self.place(key)))

    def refuse(self, key: str, why: str) -> ConfigError:
        """Return the error for a value that nothing can be made of."""
        return ConfigError(str(Finding(key, why, self.place(key) or "Detectron2's default")))

    @property
    def unknown(self) -> list[Finding]:
        """Keys that Detectron2 does not have: of another project, or misspelt."""
        keys = [key for key in self.given if key not in DEFAULTS and _section_of_others(key) is None]
        return [Finding(key, f"Detectron2 has no such key.{did_you_mean(key, DEFAULTS)}", self.place(key)) for key in keys]

    @property
    def ignored(self) -> list[Finding]:
        """Keys that were set, are not as by default, and change nothing; asked for when all others have been read."""
        findings: dict[str, Finding] = {}
        for key, given in self.given.items():
            section = _section_of_others(key)
            if section is not None:
                findings.setdefault(section, Finding(f"{section}.*", OTHER_MODELS[section], given.place))
            elif key in DEFAULTS and key not in self._used and given.value != DEFAULTS[key]:
                why = NO_INFLUENCE.get(key, "nothing that this config asks for depends on it")
                findings[key] = Finding(key, why, given.place)
        return list(findings.values())


def _coerced(key: str, value: Any) -> Any:
    wanted = TYPES[key] if key in TYPES else _type_of(DEFAULTS[key])
    return coerce(_TRUTH.get(value.lower(), value) if wanted is bool and isinstance(value, str) else value, wanted)


def _type_of(default: Any) -> Any:
    return list[_type_of(default[0])] if isinstance(default, list) else type(default)  # type: ignore[misc]


def _section_of_others(key: str) -> str | None:
    return next((section for section in OTHER_MODELS if key == section or key.startswith(f"{section}.")), None)
