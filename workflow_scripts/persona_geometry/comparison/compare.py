"""The comparison of any number of studies: the content of comparison.json."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from persona_geometry.comparison import METHOD
from persona_geometry.comparison.config import Comparison
from persona_geometry.comparison.matching import (
    counterpart,
    depth,
    kind,
    shared_personas,
    views,
)
from persona_geometry.comparison.pair import TABLE_ONLY, Pair, of_layer
from persona_geometry.comparison.reference import Reference
from persona_geometry.comparison.repeats import FEWEST_PERSONAS
from persona_geometry.comparison.replication import gates_table, replication
from persona_geometry.comparison.studies import Measured, Study
from persona_geometry.comparison.tables import against, names_of, statistics_of
from persona_geometry.errors import InputError
from persona_geometry.rsa.alignment import plain
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.intervals import no_interval
from persona_geometry.rsa.jackknife import intervals


def compare(
    settings: Comparison, studies: Mapping[str, Study], progress: Callable[[str], object] = print
) -> dict[str, Any]:
    """Compare studies; the content of comparison.json.

    Args:
        settings: the config's `comparison` section, with defaults.
        studies: name to study, as `open_studies` gives them.
        progress: told what is being computed.

    Returns:
        Plain numbers, strings, lists and dicts; None for what was not computed, with a reason.
        docs/comparison.md explains the names.

    Raises:
        InputError: of several measured studies no two can be compared.
    """
    names = [settings.original, *(name for name in studies if name != settings.original)]
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    cuts: dict[tuple[str, str], tuple[Geometries, Geometries]] = {}
    for first, second in combinations(names, 2):
        progress(f"{first} against {second}")
        one, other = studies[first], studies[second]
        if isinstance(one, Measured) and isinstance(other, Measured):
            pair = Pair(one, other, settings)
            pairs[first, second] = pair.describe()
            if not pair.reason:
                cuts[first, second] = pair.cuts
        else:
            pairs[first, second] = _with_table(one, other)
    _refuse_strangers(pairs, studies)
    common = _common(names, studies, settings)
    found: dict[str, Any] = plain(
        {
            "comparison": settings.name,
            "method": METHOD,
            **{key: value for key, value in asdict(settings).items() if key != "name"},
            "personas": common and list(common[names_of(studies)[0]]),
            "studies": {name: _study(studies[name], (common or {}).get(name)) for name in names},
            "pairs": list(pairs.values()),
            "views": views({pair: found["kind"] for pair, found in pairs.items()}),
            "gates": gates_table([studies[name] for name in names]),
            "published": [
                against(studies, s) for s in studies.values() if isinstance(s, Reference)
            ],
            "verdicts": [
                replication(
                    settings.criteria,
                    studies[names[0]],
                    study,
                    pairs[names[0], name],
                    cuts.get((names[0], name)),
                )
                for name in names[1:]
                if isinstance(study := studies[name], Measured)
            ],
            "remarks": list(_remarks(pairs, studies)),
        }
    )
    return found


def _common(
    names: Sequence[str], studies: Mapping[str, Study], settings: Comparison
) -> dict[str, list[str]] | None:
    """The personas that all measured studies share, as each calls them; None where too few."""
    measured = [s for name in names if isinstance(s := studies[name], Measured)]
    if not measured:
        return None
    called = [dict(shared_personas(measured[0], study, settings.match)) for study in measured]
    shared = [name for name in measured[0].personas if all(name in names for names in called)]
    if len(shared) < FEWEST_PERSONAS:
        return None
    return {s.name: [names[p] for p in shared] for s, names in zip(measured, called, strict=True)}


def _study(study: Study, common: list[str] | None) -> dict[str, Any]:
    """One study, and ρ at every known layer."""
    if isinstance(study, Reference):
        rho = study.curve()
        return {
            "title": study.title,
            "source": study.source,
            "model": study.model_title,
            "n_layers": study.n_layers,
            "n_personas": study.n_personas,
            "n_prompts": study.n_prompts,
            "headline_layer": study.headline_layer,
            "estimator": None,
            "curve": [_point(layer, study, {"spearman": rho[layer]}, None) for layer in rho],
            "remarks": study.remarks,
        }
    cut = study.geometries.select(common) if common else None
    curve = study.alignment["layer_curve"]
    return {
        "title": f"Study {study.name}",
        "source": str(study.results.folder),
        "model": study.model_title,
        "n_layers": study.n_layers,
        "n_personas": len(study.personas),
        "n_prompts": study.alignment["n_prompts"],
        "headline_layer": study.headline_layer,
        "estimator": study.alignment["estimator"],
        "curve": [_point(layer, study, curve[str(layer)], cut) for layer in study.known_layers],
        "remarks": study.alignment.get("warnings", []),
    }


def _point(
    layer: int, study: Study, own: Mapping[str, Any], cut: Geometries | None
) -> dict[str, Any]:
    shared = cut and of_layer(cut, layer)
    over = intervals(shared)["personas"] if shared else dict.fromkeys(("low", "high"))
    return {
        "layer": layer,
        "depth": depth(layer, study.n_layers),
        "spearman": own["spearman"],
        "mantel_p": own.get("mantel_p"),
        "shared": {
            "spearman": shared.rho if shared else None,
            "low": over["low"],
            "high": over["high"],
        },
    }


def _with_table(one: Study, other: Study) -> dict[str, Any]:
    """A pair of which one is a published table: ρ at one depth, and nothing that needs RDMs."""
    table = one if isinstance(one, Reference) else other
    reason = TABLE_ONLY.format(table.name)
    rows = []
    for layer in one.layers:
        found, why = counterpart(layer, one, other)
        rho = [_rho(one, layer), None if found is None else _rho(other, found)]
        change = None if rho[0] is None or rho[1] is None else rho[0] - rho[1]
        rows.append(
            {
                "layers": [layer, found],
                "depths": [depth(layer, one.n_layers), depth(found, other.n_layers)],
                "reason": why,
                "spearman": None if found is None else rho,
                "difference": None
                if change is None
                else {
                    "value": change,
                    **{k: no_interval(reason) for k in ("personas", "prompts", "dual")},
                },
                "cosine": None,
                "decoupling": None,
            }
        )
    return {
        "studies": [one.name, other.name],
        "kind": kind(one, other),
        "same_measurements": False,
        **dict.fromkeys(("n_personas", "personas", "other_texts", "divergence", "cosine")),
        "reason": reason,
        "layers": rows,
    }


def _rho(study: Study, layer: int) -> float | None:
    return statistics_of(study)[layer].get("spearman")


def _refuse_strangers(
    pairs: Mapping[tuple[str, str], Mapping[str, Any]], studies: Mapping[str, Study]
) -> None:
    """Refuse measured studies of which no two can be compared: there would be nothing to say."""
    measured = [p for p in pairs if all(isinstance(studies[name], Measured) for name in p)]
    if measured and all(pairs[pair]["reason"] for pair in measured):
        first = measured[0]
        raise InputError(
            f"{first[0]} and {first[1]} cannot be compared: {pairs[first]['reason']} Name studies "
            f"that share personas, or set comparison.match to match them otherwise."
        )


def _remarks(
    pairs: Mapping[tuple[str, str], Mapping[str, Any]], studies: Mapping[str, Study]
) -> Iterator[str]:
    for (first, second), found in pairs.items():
        one, other = studies[first], studies[second]
        if not (isinstance(one, Measured) and isinstance(other, Measured)):
            continue
        both = f"{first} and {second}"
        if found["same_measurements"]:
            yield f"{both} hold the same measurements: they are one study twice."
        if found["kind"]["model"] == "other":
            yield (
                f"{both} are of different models, whose tokenizers and responses may differ: the "
                f"order of their divergences is compared, not their nats."
            )
        if one.measure != other.measure:
            yield f"{both} measure other divergences ({one.measure} and {other.measure})."
        if found["other_texts"] is None:
            yield (
                f"Whether shared personas of {both} have the same system prompts is not known: a "
                f"persona table has changed since."
            )
        elif found["other_texts"]:
            yield (
                f"In {both}, shared personas have other system prompts: "
                f"{', '.join(found['other_texts'])}."
            )
