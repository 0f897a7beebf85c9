"""What a run says when it ends."""

from collections.abc import Mapping
from typing import Any

from persona_geometry.report.claims import agreement
from persona_geometry.report.text import interval, number
from persona_geometry.rsa.gates import verdict


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
        f"{interval(layer['intervals']['dual'])}, Mantel p = {number(layer['mantel_p'])}); the two "
        f"geometries {agreement(layer)}.\n"
        f"Read {report}"
    )
