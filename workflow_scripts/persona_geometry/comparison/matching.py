"""What two studies share: personas, prompts, and layers at one relative depth."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from persona_geometry.comparison.studies import Measured, Study
from persona_geometry.errors import InputError

Strata = list[list[tuple[int | None, int | None]]]
"""Prompts of both studies, of the first and of the second alone: each with its place in either."""

ROUNDING = 1e-9
MODEL_WORDS = {
    "same": "the same model",
    "other": "another model",
    None: "whether the same model is not known",
}
PROMPT_WORDS = {
    "same": "the same prompts",
    "other": "other prompts",
    "partly": "some of the same prompts",
    None: "whether the same prompts is not known",
}


def shared_personas(
    one: Measured, other: Measured, match: Literal["name", "text"]
) -> list[tuple[str, str]]:
    """Names of the personas that two studies share, in the first and in the second one.

    Raises:
        InputError: texts are to be matched, but the persona table has changed since a study ran.
    """
    if match == "name":
        return [(name, name) for name in one.personas if name in other.personas]
    known = [_texts(study) for study in (one, other)]
    name_of = {text: name for name, text in known[1].items()}
    return [(name, name_of[text]) for name, text in known[0].items() if text in name_of]


def _texts(study: Measured) -> dict[str, str]:
    if study.system_prompts is None:
        raise InputError(
            f"The persona table of study '{study.name}' ({study.effective['personas']}) has "
            f"changed since it ran, so its texts are unknown; run it again, or set "
            f"comparison.match to name."
        )
    return {name: study.system_prompts[name] for name in study.personas}


def other_texts(
    one: Measured, other: Measured, shared: Sequence[tuple[str, str]]
) -> list[str] | None:
    """Shared personas whose system prompts differ; None where a study's are not known."""
    mine, theirs = one.system_prompts, other.system_prompts
    if mine is None or theirs is None:
        return None
    return [first for first, second in shared if mine[first] != theirs[second]]


def prompt_strata(one: Sequence[str], other: Sequence[str]) -> Strata:
    """Prompts by which of two studies has them, matched by text; strata without any left out."""
    place = {text: k for k, text in enumerate(other)}
    mine = [(k, place.get(text)) for k, text in enumerate(one)]
    strata: Strata = [
        [pair for pair in mine if pair[1] is not None],
        [pair for pair in mine if pair[1] is None],
        [(None, k) for text, k in place.items() if text not in set(one)],
    ]
    return [stratum for stratum in strata if stratum]


def kind(one: Study, other: Study) -> dict[str, Any]:
    """Which of model and prompts two studies have in common, and what else differs.

    Returns:
        `model` and `prompts`: "same", "other", "partly" (some prompts in both) or None where it
        is not known; `held_out`: "prompts", "model", "both", "nothing" or None; `words`; and
        `differing`: keys of the config by which they were measured otherwise.
    """
    if not (isinstance(one, Measured) and isinstance(other, Measured)):
        words = "one is a published table, so that neither can be told"
        return dict.fromkeys(("model", "prompts", "held_out")) | {"words": words, "differing": []}
    model = _compared(one.model, other.model)
    prompts = _compared(
        None if one.prompts is None else set(one.prompts),
        None if other.prompts is None else set(other.prompts),
    )
    if prompts == "other" and set(one.prompts or ()) & set(other.prompts or ()):
        prompts = "partly"
    held = {
        ("same", "same"): "nothing",
        ("same", "other"): "prompts",
        ("other", "same"): "model",
        ("other", "other"): "both",
    }.get((model or "", prompts or ""))
    return {
        "model": model,
        "prompts": prompts,
        "held_out": held,
        "words": f"{MODEL_WORDS[model]}, {PROMPT_WORDS[prompts]}",
        "differing": [k for k, value in one.settings.items() if other.settings[k] != value],
    }


def _compared(mine: Any, theirs: Any) -> str | None:
    if mine is None or theirs is None:
        return None
    return "same" if mine == theirs else "other"


def depth(layer: int | None, n_layers: int | None) -> float | None:
    """Relative depth of a layer, counted from 0, among all of its model's, in [0, 1).

    None where there is no such layer, or the number of layers is not known.
    """
    return None if layer is None or n_layers is None else layer / n_layers


def counterpart(layer: int, one: Study, other: Study) -> tuple[int | None, str | None]:
    """The known layer of another study at the relative depth of a layer of one.

    It is the nearest one, and at most half a layer of the shallower model away.

    Returns:
        The layer and None, or None and the reason in words.
    """
    if one.n_layers is None or other.n_layers is None:
        lacking = one if one.n_layers is None else other
        return None, (
            f"The cosines of {lacking.name} come from a file, so how deep its layers lie is not "
            f"known."
        )
    wanted = layer / one.n_layers
    distance = {k: abs(k / other.n_layers - wanted) for k in other.known_layers}
    nearest = min(distance, key=lambda k: (round(distance[k], 9), k))
    if distance[nearest] > 0.5 / min(one.n_layers, other.n_layers) + ROUNDING:
        return None, (
            f"{other.name} has no layer at the relative depth {wanted:.3f}; its nearest, "
            f"{nearest}, is at {nearest / other.n_layers:.3f}."
        )
    return nearest, None


def views(kinds: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, list[list[str]]]:
    """Pairs of studies by what was held out between them."""
    return {
        f"{held}_held_out" if held != "nothing" else "repeated": [
            list(pair) for pair, kind in kinds.items() if kind["held_out"] == held
        ]
        for held in ("prompts", "model", "both", "nothing")
    }
