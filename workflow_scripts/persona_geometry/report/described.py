"""A study in words and settings, as its page tells it."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from persona_geometry.study.config import Study
from persona_geometry.study.sections import RdmFile, keys


def describe(study: Study) -> dict[str, Any]:
    """A study's settings with every default, what each means, its tables and its model, as JSON."""
    settings = {name: asdict(getattr(study, name)) for name in _sections(study)}
    of_files = {f"rdm.{name}": asdict(of) for name, of in study.rdm.items()}
    return {
        "settings": settings | of_files,
        "meanings": {
            **{name: meanings(name) for name in settings},
            **{name: meanings(RdmFile.NAME) for name in of_files},
        },
        "personas": {
            p.name: {
                "cluster": p.cluster,
                "macro_cluster": study.macro_clusters.get(p.name),
                "system_prompt": p.system_prompt,
            }
            for p in study.personas
        },
        "prompts": {prompt.name: prompt.text for prompt in study.prompts},
        "divergence": {
            "name": study.rdm["js"].name if "js" in study.rdm else None,
            "unit": study.divergence_unit,
        },
        "needs_model": study.needs_model,
        "model_title": study.model.title if study.needs_model else "",
        "measured": study.measured,
    }


def _sections(study: Study) -> Iterator[str]:
    """Sections of the config that change the study's result."""
    if study.needs_model:
        yield from ("model", "generation", "scoring")
    if "js" not in study.rdm:
        yield "divergence"
    yield "geometry"
    if study.intervention.directions:
        yield "intervention"
    yield "alignment"


def meanings(section: str) -> dict[str, str]:
    """What every key of a section of the config means."""
    return {key: one["description"].replace("`", "") for key, one in keys(section).items()}
