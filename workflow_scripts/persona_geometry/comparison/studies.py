"""The studies that are compared: finished ones, and the table of the published one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from persona_geometry.comparison.reference import Reference, read_reference
from persona_geometry.errors import InputError
from persona_geometry.files import sha256
from persona_geometry.published import read_published_response
from persona_geometry.results import StudyResults, open_study
from persona_geometry.rsa.geometries import Geometries, read_geometries
from persona_geometry.study.sections import keys
from persona_geometry.study.tables import Persona, read_personas

PUBLISHED = "published"
"""Among the studies of a comparison, the table of the published one."""

FILES = ("alignment.json", "cosine_matrix.json", "js_matrix.json")
MEASURED = ("js_by_prompt.npz", "vectors.npz")
"""What a study has that measured its RDMs."""

RECORDED = ("config", "model", "inputs_sha256", "results_sha256")
ALIGNED = ("personas", "headline_layer", "estimator", "n_prompts", "gates", "layer_curve")
"""What of their records is read."""

SETTINGS = ("model", "generation", "scoring", "divergence", "geometry", "intervention")
NOT_COMPARED = {
    *(f"model.{key}" for key in ("path", "gguf", "name", "revision", "adapter", "gpus")),
    *("generation.gpu_memory_utilization", "divergence.cutoffs"),
    *("scoring.keep_states", "scoring.top_tokens"),
    *(f"geometry.{key}" for key in ("layers", "headline_layer", "also", "components")),
}
"""What of them says which model it is, or changes none of the numbers that are compared."""


@dataclass(frozen=True)
class Measured:
    """A finished study, cut to the personas without its anchor.

    Attributes:
        name: of the study.
        results: the study, opened.
        geometries: its RDMs.
        n_layers: of the model; None where the cosines come from a file, which may lack some.
        system_prompts: of the personas; None where their table has changed since the study ran.
        clusters: fine cluster of every clustered persona; none where the table has changed.
        prompts: texts of the prompts, in the order of the RDMs; None where the divergences come
            from a file.
    """

    name: str
    results: StudyResults
    geometries: Geometries
    n_layers: int | None
    system_prompts: dict[str, str] | None
    clusters: dict[str, str]
    prompts: tuple[str, ...] | None

    @property
    def alignment(self) -> dict[str, Any]:
        return self.results.alignment

    @property
    def personas(self) -> tuple[str, ...]:
        return self.geometries.personas

    @property
    def known_layers(self) -> list[int]:
        return sorted(self.geometries.cosine)

    @property
    def layers(self) -> list[int]:
        """The configured layers."""
        return [int(layer) for layer in self.alignment["layers"]]

    @property
    def headline_layer(self) -> int:
        return self.results.headline_layer

    @property
    def effective(self) -> dict[str, Any]:
        config: dict[str, Any] = self.results.run["config"]["effective"]
        return config

    @property
    def measure(self) -> str:
        """Which divergence it has: the estimator, or a file's own name and unit."""
        estimator: str = self.alignment["estimator"]
        given = self.effective.get("rdm", {}).get("js", {}) if estimator == "imported" else {}
        name, unit = given.get("name") or estimator, given.get("unit")
        return f"{name} in {unit}" if unit else name

    @property
    def model(self) -> str | None:
        """Fingerprint of weights and tokenizer; None where both RDMs come from files."""
        model = self.results.run["model"]
        return model and str(model["fingerprint"])

    @property
    def model_title(self) -> str:
        """The model as its config names it."""
        model = self.results.run["model"]
        if not model:
            return "RDMs from files"
        source = str(model.get("gguf") or model["path"] or model["name"])
        return f"{source} with {model['adapter']}" if model.get("adapter") else source

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What else decides the numbers: keys of the config, by section, and their values."""
        return {
            f"{section}.{key}": self.effective.get(section, {}).get(key, described.get("default"))
            for section in SETTINGS
            for key, described in keys(section).items()
            if f"{section}.{key}" not in NOT_COMPARED
        }

    @property
    def same_as(self) -> tuple[str, ...]:
        """Equal for two studies that hold the same measurements."""
        return tuple(sha256(self.results.folder / name) for name in FILES[1:])


Study = Measured | Reference


def study_files(results: str | Path, name: str) -> list[str]:
    """The files of a finished study that a comparison reads.

    Raises:
        InputError: there is no such study, or it is not finished.
    """
    folder = Path(results) / name
    lacking = [file for file in (*FILES, "run.json") if not (folder / file).is_file()]
    if lacking:
        there = "has not finished" if folder.is_dir() else "has no results"
        raise InputError(
            f"Study '{name}' {there} ({folder / lacking[-1]} does not exist); {_remedy(name)}, "
            f"then compare."
        )
    return [str(folder / f) for f in (*FILES, *MEASURED, "run.json") if (folder / f).is_file()]


def _remedy(name: str) -> str:
    """How to finish a study, with its config where it is among those of the folder `config`."""
    named = re.compile(rf"^study: *{re.escape(name)} *(#.*)?$", re.MULTILINE)
    for path in sorted(Path("config").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if named.search(text):
            base = "" if "\npersonas:" in text else "the config it builds on and "
            return f"run it first: snakemake --configfile {base}{path}"
    return "run it first with its config, or correct its name"


def open_measured(folder: str | Path, name: str) -> Measured:
    """Open a finished study, and check that its files are those that its record is of.

    Raises:
        InputError: a file has changed since the study finished, or is of an earlier version.
    """
    results = open_study(folder)
    for file, content, needed in (
        ("run.json", results.run, RECORDED),
        ("alignment.json", results.alignment, ALIGNED),
    ):
        if lacking := next((key for key in needed if key not in content), None):
            raise InputError(
                f"{results.folder / file} has no '{lacking}', so it was written by an earlier "
                f"version; {_remedy(name)}, then compare."
            )
    recorded = {Path(path).name: value for path, value in results.run["results_sha256"].items()}
    for file in (*FILES, *MEASURED):
        path = results.folder / file
        if path.is_file() and file in recorded and sha256(path) != recorded[file]:
            raise InputError(
                f"{path} is not the file that {results.folder / 'run.json'} records, so study "
                f"'{name}' was begun again and has not finished; {_remedy(name)}, then compare."
            )
    stacks, vectors = (results.folder / file for file in MEASURED)
    geometries, _ = read_geometries(
        results.folder / "cosine_matrix.json",
        results.folder / "js_matrix.json",
        by_prompt=stacks if stacks.is_file() else None,
        vectors=vectors if vectors.is_file() else None,
        anchor=results.anchor,
    )
    personas = _personas(results)
    imported = "cosine" in results.run["config"]["effective"].get("rdm", {})
    return Measured(
        name,
        results,
        geometries.without_anchor(),
        None if imported else max(geometries.cosine) + 1,
        None if personas is None else {p.name: p.system_prompt for p in personas},
        {p.name: p.cluster for p in personas or () if p.cluster is not None},
        _prompt_texts(results, geometries.prompts),
    )


def _personas(results: StudyResults) -> list[Persona] | None:
    """The persona table; None where it has changed since the study ran."""
    table = results.run["config"]["effective"]["personas"]
    if not Path(table).is_file() or sha256(table) != results.run["inputs_sha256"][table]:
        return None
    return read_personas(table)


def _prompt_texts(results: StudyResults, prompts: Iterable[str] | None) -> tuple[str, ...] | None:
    if prompts is None:
        return None
    folder = results.folder / "responses"
    return tuple(read_published_response(folder / f"{prompt}.json").user for prompt in prompts)


def open_studies(
    names: Iterable[str], results: str | Path, published: str | Path
) -> dict[str, Study]:
    """Open the studies of a comparison.

    Args:
        names: of finished studies, or `published`.
        results: the folder of all results.
        published: the published study's table.

    Raises:
        InputError: as `study_files`, `open_measured` and `read_reference`.
    """
    found: dict[str, Study] = {}
    for name in names:
        if name == PUBLISHED:
            found[name] = read_reference(published)
        else:
            study_files(results, name)
            found[name] = open_measured(Path(results) / name, name)
    return found
