"""A study in words and settings, as its page tells it."""

from dataclasses import asdict
from typing import Any

from persona_geometry.study.config import Study
from persona_geometry.study.sections import keys

SECTIONS = ("model", "generation", "scoring", "divergence", "geometry", "alignment")
"""Sections of the config that change a result."""


def describe(study: Study) -> dict[str, Any]:
    """A study's settings with every default, what each means, its tables and its model, as JSON."""
    return {
        "settings": {name: asdict(getattr(study, name)) for name in SECTIONS},
        "meanings": {
            name: {key: one["description"] for key, one in keys(name).items()} for name in SECTIONS
        },
        "personas": {
            p.name: {"cluster": p.cluster, "system_prompt": p.system_prompt} for p in study.personas
        },
        "prompts": {prompt.name: prompt.text for prompt in study.prompts},
        "divergence": {
            "name": study.rdm["js"].name if "js" in study.rdm else None,
            "unit": study.divergence_unit,
        },
        "needs_model": study.needs_model,
        "model_title": study.model.title if study.needs_model else "",
        "model_sentence": study.model.sentence if study.needs_model else "",
    }
