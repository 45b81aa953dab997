"""From a weight file of one toolkit to one of another, and what became of each tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dettoolkit.checkpoint.converters import FORMATS, Conversion
from dettoolkit.checkpoint.converters.completeness import missing_names
from dettoolkit.checkpoint.load_report import compare
from dettoolkit.checkpoint.weight_source import DETTOOLKIT, WeightSource, recognise
from dettoolkit.errors import CheckpointError, listed

FORMAT_NAMES = (*FORMATS, DETTOOLKIT)
_OUR_PARTS = ("backbone.", "neck.", "head.", "criterion.")


@dataclass(frozen=True)
class Converted:
    """Weights in another toolkit's names.

    Args:
        source: the weights as they were.
        target: whose names they have now.
        state: the tensors.
        renamed: old name -> new name.
        left_over: old name -> why it is left out on purpose.
        unknown: old names that no rule knows.
        filled: new name -> where its tensor is from, for what the old format does not write down.
        missing: names, ours, of tensors that a whole model has and the file has not.
        problems: why the target would not be the same model.
    """

    source: WeightSource
    target: str
    state: dict[str, Tensor]
    renamed: dict[str, str]
    left_over: dict[str, str]
    unknown: list[str]
    filled: dict[str, str]
    missing: list[str]
    problems: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether no tensor is missing, and none left over but those that are on purpose."""
        return not (self.unknown or self.missing)


def convert(
    data: Mapping[str, Any],
    name: str,
    to: str,
    given: str | None = None,
    anchors: tuple[int, int] | None = None,
    model_state: Mapping[str, Tensor] | None = None,
) -> Converted:
    """Return the weights of a file in the names, and with the anchors in the order, of a toolkit.

    Args:
        data: what the file holds.
        name: of the file, for messages.
        to: one of ``FORMAT_NAMES``.
        given: the same, where the format of the file is claimed and not only to be recognised.
        anchors: how many sizes and aspect ratios there are at a location, where the shapes do not tell.
        model_state: of a model of ours that the weights have to fit; None: what is missing is told by the names.

    Raises:
        CheckpointError: there are no weights in it, those of another toolkit than given, or of none that is known.
    """
    source = recognise(data, name)
    if source.is_dettoolkit and model_state is None:
        _check_ours(source)
    if given is not None and source.format != given:
        raise CheckpointError(f"{name} is no file of {given}: by its names it is of {source.format} ({source.kind}).")
    inward = source.to_dettoolkit(anchors)
    problems = list(inward.problems)
    if model_state is None:
        missing = missing_names(inward.state.keys(), other_toolkit=not source.is_dettoolkit)
    else:
        missing, others = _misfits(source, inward.state, model_state)
        problems += others
    outward = _outward(inward.state, to, anchors)
    came_from = {ours: theirs for theirs, ours in inward.renamed.items()}
    problems += outward.problems
    if outward.unknown:
        more = f" and {len(outward.unknown) - 1} more" if len(outward.unknown) > 1 else ""
        problems.append(f"{to} cannot express {came_from.get(outward.unknown[0], outward.unknown[0])}{more}")
    return Converted(
        source=source,
        target=to,
        state=outward.state,
        renamed={came_from[ours]: theirs for ours, theirs in outward.renamed.items() if ours in came_from},
        left_over=inward.left_over | {came_from[ours]: why for ours, why in outward.left_over.items() if ours in came_from},
        unknown=inward.unknown,
        filled={outward.renamed[ours]: why for ours, why in inward.filled.items() if ours in outward.renamed} | outward.filled,
        missing=missing,
        problems=problems,
    )


def _check_ours(source: WeightSource) -> None:
    """Refuse names that no toolkit has; with a model to compare with, that is seen without guessing."""
    others = [name for name in source.state if not name.startswith(_OUR_PARTS)]
    if others:
        raise CheckpointError(
            f"{source.name}: {len(others)} of {len(source.state)} tensors have names of no known toolkit: {listed(others, 5)}. "
            f"Known are {listed(FORMAT_NAMES)}; a model with parts of its own can be compared by --config-file."
        )


def _outward(state: Mapping[str, Tensor], to: str, anchors: tuple[int, int] | None) -> Conversion:
    if to == DETTOOLKIT:
        return Conversion(dict(state), renamed={name: name for name in state})
    network = {name: value for name, value in state.items() if not name.startswith("criterion.")}
    done: Conversion = FORMATS[to].from_dettoolkit(network, anchors)
    done.left_over |= dict.fromkeys(state.keys() - network.keys(), "what the criterion remembers while it trains")
    return done


def _misfits(
    source: WeightSource, state: Mapping[str, Tensor], model_state: Mapping[str, Tensor]
) -> tuple[list[str], list[str]]:
    """Return what is missing for a model, and why the rest does not fit it."""
    if all(name.startswith("backbone.") for name in state):
        model_state = {name: value for name, value in model_state.items() if name.startswith("backbone.")}
    report = compare(source.name, source.kind, state, model_state)
    problems = []
    if report.unexpected:
        problems.append(f"the model of the config has no {listed(report.unexpected, 5)}")
    if report.mismatched:
        problems.append(f"the model of the config has other shapes: {listed(report.mismatched, 5)}")
    return list(report.missing), problems
