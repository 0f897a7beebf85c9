"""A comparison: one config file, checked and read into one object."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from persona_geometry.errors import InputError
from persona_geometry.study.form import check_form
from persona_geometry.study.sections import Section, schema
from persona_geometry.text_files import alike


@dataclass(frozen=True)
class Criterion(Section):
    """One of the criteria of a replication."""

    NAME: ClassVar[str] = "criterion"
    criterion: str
    threshold: float


@dataclass(frozen=True)
class Comparison(Section):
    """Which studies are compared, and how; `original` is one of them once the config is read."""

    NAME: ClassVar[str] = "comparison"
    name: str
    studies: list[str]
    original: str
    match: Literal["name", "text"]
    permutations: int
    seed: int
    top_k: int
    rule: list[dict[str, Any]]

    @property
    def criteria(self) -> list[Criterion]:
        """The rule, typed."""
        return [Criterion.of(**one) for one in self.rule]


def read_comparison(config: Mapping[str, Any], source: str = "the config") -> Comparison:
    """Check a comparison's config and fill in defaults.

    Args:
        config: of `comparison`, and maybe `figures`. `studies` at the top level, for the command
            line, takes the place of `comparison.studies`; where there is no more, the comparison
            is named after them.
        source: name of the config file, for messages.

    Raises:
        InputError: one sentence naming the file, the key and the remedy.
    """
    if odd := sorted(set(config) - {"comparison", "studies", "figures"}):
        raise InputError(
            f"{source}: a comparison has no key '{odd[0]}' beside 'comparison' and 'figures'; name "
            f"the config of the comparison alone after --configfile."
        )
    section = config.get("comparison", {})
    if isinstance(section, Mapping) and "studies" in config:
        studies = config["studies"]
        name = "-".join(map(str, studies)) if isinstance(studies, list) else str(studies)
        section = {"name": name, **section, "studies": studies}
    wanted = {
        "type": "object",
        "properties": {
            "comparison": {"$ref": "#/$defs/comparison"},
            "figures": schema()["properties"]["figures"],
        },
        "$defs": schema()["$defs"],
    }
    drawn = {"figures": config["figures"]} if "figures" in config else {}
    check_form({"comparison": section, **drawn}, source, wanted)
    comparison = Comparison.of(**section)
    comparison = replace(comparison, original=comparison.original or comparison.studies[0])
    _check(comparison, source)
    return comparison


def _check(comparison: Comparison, source: str) -> None:
    if comparison.original not in comparison.studies:
        raise InputError(
            f"{source}: comparison.original is '{comparison.original}', which is not among the "
            f"studies ({', '.join(comparison.studies)}); add it, or correct its name."
        )
    seen: dict[str, str] = {}
    for study in comparison.studies:
        if other := seen.get(alike(study)):
            raise InputError(
                f"{source}: '{other}' and '{study}' among the studies are one folder to some file "
                f"systems; keep one of them."
            )
        seen[alike(study)] = study
    names = [criterion.criterion for criterion in comparison.criteria]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{source}: comparison.rule has '{twice}' twice; keep one of them.")
    for one in comparison.criteria:
        if one.criterion == "difference" and one.threshold <= 0:
            raise InputError(
                f"{source}: comparison.rule asks for a difference within "
                f"± {one.threshold:g}, which none is; give a threshold above 0."
            )
