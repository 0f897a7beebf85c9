"""A bundle's statistics computed again, from its matrices alone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from persona_geometry.bundle.contents import CHECKSUMS, CONFIG, read_checksums
from persona_geometry.errors import InputError
from persona_geometry.files import sha256
from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import read_geometries
from persona_geometry.rsa.results import read_alignment
from persona_geometry.study.config import alignment_of
from persona_geometry.study.sections import Geometry
from persona_geometry.study.tables import clusters_of, macro_clusters_of, read_personas

NEED_VECTORS = (
    "layers.*.cka",
    "layers.*.crossvalidated_cosine",
    "layers.*.split_prompts",
    "layers.*.intervals.prompts",
    "layers.*.intervals.dual",
    "layers.*.bootstrap.prompts",
    "layers.*.bootstrap.dual",
    "layers.*.equivalence",
    "layers.*.decoupling",
    "layers.*.comparators.whitened_unbiased_cosine",
    "across_layers.contrasts",
)
"""Statistics of alignment.json that rest on the vectors of single prompts, by their places."""


@dataclass(frozen=True)
class Recomputed:
    """What came of computing again.

    Attributes:
        alignment: the content of alignment.json, computed from the matrices.
        equal: how many values are equal to the last bit.
        differing: places of those that are not.
    """

    alignment: dict[str, Any]
    equal: int
    differing: list[str]


def check_files(folder: str | Path) -> int:
    """Check every file of an unpacked bundle against its SHA-256; return how many there are.

    Raises:
        InputError: the folder holds no bundle, or a file is missing or has changed.
    """
    folder = Path(folder)
    if not (folder / CHECKSUMS).is_file():
        raise InputError(f"{folder} holds no {CHECKSUMS}; give the folder of an unpacked bundle.")
    sums = read_checksums((folder / CHECKSUMS).read_text(encoding="utf-8"))
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise InputError(f"{folder} lacks {name}; unpack the bundle again.")
        if sha256(folder / name) != digest:
            raise InputError(f"{folder / name} is not what was bundled; unpack the bundle again.")
    return len(sums)


def recompute(
    folder: str | Path, progress: Callable[[str], object] = lambda _line: None
) -> Recomputed:
    """Compute the statistics of an unpacked bundle again, and compare them with those in it.

    Args:
        folder: the bundle, unpacked.
        progress: told what is done.
    """
    folder = Path(folder)
    config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    bundled = read_alignment(folder / "alignment.json")
    geometry = Geometry.of(**config["geometry"])
    settings = alignment_of(config)
    personas = read_personas(folder / config["personas"])
    outcomes = settings.outcomes
    geometries, estimator = read_geometries(
        folder / "cosine_matrix.json",
        folder / "js_matrix.json",
        by_prompt=_there(folder / "js_by_prompt.npz"),
        covariates=[str(folder / path) for path in settings.covariates],
        outcomes=str(folder / outcomes) if outcomes else None,
        kl=_there(folder / "kl_matrix.json") if outcomes else None,
        also=[folder / "geometries" / f"{name}.json" for name in geometry.also],
        system_prompts={p.name: p.system_prompt for p in personas},
        anchor=config.get("anchor"),
        clusters=clusters_of(personas),
        macro=macro_clusters_of(personas),
    )
    again = align(
        geometries,
        settings,
        geometry.layers,
        geometry.headline_layer,
        config["study"],
        estimator,
        progress=progress,
    )
    values = list(compared(bundled, again))
    differing = [place for place, same in values if not same]
    return Recomputed(again, len(values) - len(differing), differing)


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def compared(ours: Any, theirs: Any, place: str = "") -> Iterator[tuple[str, bool]]:
    """Place of each value, and whether both have the same there; what needs vectors is left out."""
    if _needs_vectors(place) or _gated(place, ours):
        return
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in {**ours, **theirs}:
            inner = f"{place}.{key}" if place else key
            if key in ours and key in theirs:
                yield from compared(ours[key], theirs[key], inner)
            elif not _needs_vectors(inner):
                yield inner, False
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from compared(mine, other, f"{place}.{i}")
    else:
        yield place, ours == theirs


def _needs_vectors(place: str) -> bool:
    """Whether a place, or the reason of why it is null, is of what needs vectors."""
    of = place.replace("reasons.", "")
    return any(fnmatch(of, one) or fnmatch(of, f"{one}.*") for one in NEED_VECTORS)


def _gated(place: str, gate: Any) -> bool:
    """Whether it is a gate on a statistic that needs vectors."""
    if not isinstance(gate, Mapping) or "threshold" not in gate or "statistic" not in gate:
        return False
    names = (pattern.removeprefix("layers.*.") for pattern in NEED_VECTORS)
    return any(f"{gate['statistic']}.".startswith(f"{name}.") for name in names)
