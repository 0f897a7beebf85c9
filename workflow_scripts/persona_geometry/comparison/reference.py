"""A published study, of which there is a table of numbers and no RDM."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from persona_geometry.errors import InputError
from persona_geometry.files import read_json
from persona_geometry.study.form import check_form
from persona_geometry.study.sections import SCHEMA


@dataclass(frozen=True)
class Reference:
    """What a publication gives.

    Attributes:
        name: by which a comparison lists it.
        title, source: what it is, and where its numbers stand.
        model_title: the model.
        n_layers: of the model.
        n_personas, n_prompts: that were compared.
        headline_layer: of its gates.
        statistics: layer to statistic to value, named as in alignment.json.
        bounds: layer to statistic to what is said of it where no value is given.
        gates: each with `layer`, `statistic`, `comparison`, `threshold`, `value` and `status`.
        top_pairs: layer to its most deviating pairs, as far as they are given.
        remarks: what is to be known of the numbers.
    """

    name: str
    title: str
    source: str
    model_title: str
    n_layers: int
    n_personas: int
    n_prompts: int
    headline_layer: int
    statistics: dict[int, dict[str, float]]
    bounds: dict[int, dict[str, str]]
    gates: list[dict[str, Any]]
    top_pairs: dict[int, list[dict[str, Any]]]
    remarks: list[str]

    @property
    def layers(self) -> list[int]:
        return list(self.statistics)

    @property
    def known_layers(self) -> list[int]:
        return list(self.statistics)

    def curve(self) -> dict[int, float]:
        """Layer to ρ."""
        return {layer: values["spearman"] for layer, values in self.statistics.items()}


def read_reference(path: str | Path) -> Reference:
    """Read a published study's table.

    Raises:
        InputError: the file is missing or not in the form of its schema.
    """
    content = read_json(path)
    check_form(content, str(path), _schema())
    return Reference(
        **{key: content[key] for key in ("name", "title", "source", "gates", "remarks")},
        model_title=content["model"]["name"],
        n_layers=content["model"]["layers"],
        **{key: content[key] for key in ("n_personas", "n_prompts", "headline_layer")},
        statistics=_by_layer(content["layers"], content, path),
        bounds=_by_layer(content["bounds"], content, path),
        top_pairs=_by_layer(content["top_pairs"], content, path),
    )


def _by_layer(of: Mapping[str, Any], content: Mapping[str, Any], path: object) -> dict[int, Any]:
    for layer in of:
        if int(layer) >= content["model"]["layers"]:
            raise InputError(
                f"{path}: layer {layer} is not below the model's {content['model']['layers']} "
                f"layers; correct it."
            )
    return {int(layer): values for layer, values in of.items()}


def _schema() -> dict[str, Any]:
    path = SCHEMA.with_name("published.schema.yaml")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
