"""What a run says when it ends."""

from collections.abc import Mapping
from typing import Any

from persona_geometry.report.claims import agreement, replicates
from persona_geometry.report.text import interval, number, p_value
from persona_geometry.rsa.gates import verdict
from persona_geometry.rsa.intervals import widest


def closing(alignment: Mapping[str, Any], report: str) -> str:
    """The result in three lines, for a terminal.

    Args:
        alignment: the content of alignment.json.
        report: path of the study's page.
    """
    headline = alignment["headline_layer"]
    layer = alignment["layers"][str(headline)]
    return (
        f"Study {alignment['study']}: {verdict(alignment['gates'])}\n"
        f"Layer {headline}: ρ = {number(layer['spearman'])} (95 % interval "
        f"{interval(widest(layer['intervals']))}, Mantel p = {p_value(layer['mantel_p'])}); the "
        f"two geometries {agreement(layer)}.\n"
        f"Read {report}"
    )


def closing_comparison(comparison: Mapping[str, Any], report: str) -> str:
    """What a comparison found, a line a study that was judged, for a terminal.

    Args:
        comparison: the content of comparison.json.
        report: path of the comparison's page.
    """
    judged = [
        f"{found['replication']} beside {found['original']}: {replicates(found)} "
        f"({found['reason'].rstrip('.')})"
        for found in comparison["verdicts"]
    ]
    return "\n".join([f"Comparison {comparison['comparison']}", *judged, f"Read {report}"])
