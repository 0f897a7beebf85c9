"""The numbers behind a comparison's charts: distances of every study, and ρ by depth."""

from collections.abc import Mapping
from typing import Any

from persona_geometry.comparison.repeats import FEWEST_PERSONAS
from persona_geometry.comparison.studies import Measured, Study
from persona_geometry.report.figures.heatmap import hierarchical_order
from persona_geometry.report.figures.style import cluster_colors
from persona_geometry.report.page.explore import distances
from persona_geometry.report.text import divergence_name


def comparison_charts(
    comparison: Mapping[str, Any], studies: Mapping[str, Study]
) -> dict[str, Any]:
    """Everything that the charts of a comparison show.

    Args:
        comparison: the content of comparison.json.
        studies: name to study, as `open_studies` gives them.
    """
    measured = {name: study for name, study in studies.items() if isinstance(study, Measured)}
    places = {
        name: {persona: k for k, persona in enumerate(study.personas)}
        for name, study in measured.items()
    }
    pairs = [pair for pair in comparison["pairs"] if set(pair["studies"]) <= set(measured)]
    ordered = [name for name in comparison["studies"] if name in measured]
    return {
        "fewest": FEWEST_PERSONAS,
        "studies": {name: _study(measured[name], len(measured)) for name in ordered},
        "shared": [
            {
                "studies": pair["studies"],
                "places": [
                    [
                        places[study][name]
                        for study, name in zip(pair["studies"], names, strict=True)
                    ]
                    for names in pair["personas"]
                ],
            }
            for pair in pairs
        ],
        "curves": {
            name: [
                {key: point[key] for key in ("layer", "depth", "spearman")} for point in of["curve"]
            ]
            for name, of in comparison["studies"].items()
        },
        "between": [
            {
                "studies": pair["studies"],
                **{k: pair["cosine"][k] for k in ("layers", "spearman", "family_wise_p")},
            }
            for pair in pairs
            if pair["cosine"]
        ],
    }


def _study(study: Measured, n_studies: int) -> dict[str, Any]:
    """One study's personas and distances, of as many layers as it has room for among all."""
    of, personas = study.geometries, list(study.personas)
    given = study.effective.get("rdm", {}).get("js", {})
    colors = cluster_colors(study.clusters)
    return {
        "personas": personas,
        "clusters": {name: study.clusters.get(name) for name in personas},
        "colors": {name: colors.get(study.clusters.get(name, "")) for name in personas},
        "order": hierarchical_order(of.cosine[study.headline_layer].select(personas)),
        "headline": study.headline_layer,
        "divergence": given.get("name") or divergence_name(study.alignment),
        "unit": (given.get("unit") or "") if given else "nats",
        **distances(of.cosine, of.divergence, personas, study.layers, n_studies),
    }
