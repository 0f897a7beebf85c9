"""An intervention: a direction of chosen personas, taken out of the hidden states after a block.

The direction comes from a file that an earlier study's probe left, so that its content is known,
and part of every key, before anything is computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from persona_geometry.errors import InputError
from persona_geometry.model.tensors import few
from persona_geometry.store.store import Store

if TYPE_CHECKING:
    from persona_geometry.study.config import Study
    from persona_geometry.study.recipes import Item


@dataclass(frozen=True)
class Ablation:
    """What is taken out: every hidden state h after a block becomes h - (h·u) u.

    Attributes:
        layer: the block, counted from 0.
        direction: the d numbers of the unit vector u.
    """

    layer: int
    direction: list[float]


def read_ablation(study: "Study") -> Ablation | None:
    """The ablation that a study asks for; None where it asks for none.

    Raises:
        InputError: the file, the direction or the layer is not there.
    """
    asked = study.intervention
    if study.directions is None or asked.layer is None:
        return None
    directions, _ = study.directions
    if asked.direction not in directions:
        raise InputError(
            f"{study.source}: intervention.direction is '{asked.direction}', which "
            f"{asked.directions} does not hold; choose among {', '.join(directions)}."
        )
    by_layer = directions[asked.direction]
    if asked.layer >= len(by_layer):
        raise InputError(
            f"{study.source}: intervention.layer is {asked.layer}, but {asked.directions} has "
            f"layers 0 to {len(by_layer) - 1}; correct it."
        )
    return Ablation(asked.layer, by_layer[asked.layer].tolist())


def chosen_personas(study: "Study") -> list[str]:
    """The personas whose direction is taken out.

    Raises:
        InputError: one of them is not in the study.
    """
    assert study.directions is not None, "asked of an intervened study only"
    _, names = study.directions
    compared = [name for name in study.persona_names if name != study.anchor]
    if lacking := [name for name in names if name not in compared]:
        raise InputError(
            f"{study.source}: {study.intervention.directions} is of {few(names)}, but the study "
            f"does not compare {few(lacking)}; use the personas of the study that was probed."
        )
    return names


def without_intervention(study: "Study") -> "Study":
    """The study as it would be without its intervention: what the intervention is compared with."""
    return replace(study, intervention=replace(study.intervention, directions=None))


def check_before(study: "Study", store: Store, before: Sequence["Item"]) -> None:
    """Refuse an intervention that could not be compared with the same study without it.

    Args:
        study: the intervened study.
        store: the store.
        before: recipes of the study without its intervention.

    Raises:
        InputError: the store lacks some of them, or the direction is another model's.
    """
    for item in before:
        lacks, pairs = store.missing(item.key, list(item.cells.values()))
        if lacks or len(pairs):
            raise InputError(
                f"{study.source}: the store lacks the same study without its intervention, which "
                f"it would be compared with (prompt '{item.prompt.name}'); run that first."
            )
    ablation, first = read_ablation(study), before[0]
    cell = store.read_cell(first.key, next(iter(first.cells.values())), with_states=False)
    depth, width = cell.last_prompt_token.shape
    if ablation and (ablation.layer >= depth or len(ablation.direction) != width):
        raise InputError(
            f"{study.source}: {study.intervention.directions} holds directions of "
            f"{len(ablation.direction)} numbers, but the model's {depth} layers have {width}; use "
            f"those of a study of the same model."
        )
