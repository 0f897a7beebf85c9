"""What earlier runs left among a study's results: files of removed prompts, layers and cutoffs."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from persona_geometry.report.figures import ENDINGS, SCATTER
from persona_geometry.study.tables import NAME

FAMILIES = {
    "layers": (
        r"\d+",
        *(f"figures/{SCATTER}.{ending}" for ending in ENDINGS),
    ),
    "known_layers": (r"\d+", "cosine_distance/layer_{}.tsv"),
    "cutoffs": (r"\d+|full", "js_matrix/{}.tsv"),
    "prompts": (
        NAME,
        "prompts/{}.npz",
        "responses/{}.json",
        "logs/publish_prompt/{}.log",
        "benchmarks/publish_prompt/{}.tsv",
    ),
    "measured": ("js_by_prompt|vectors", "{}.npz"),
    "top_tokens": (
        "top_tokens",
        *("{}.npz", "logs/publish_{}.log", "benchmarks/publish_{}.tsv"),
    ),
    "directed": ("kl_matrix", "{}.json"),
    "geometries": (
        "mean_centered|components_removed|last_prompt_token|response_mean",
        "geometries/{}.json",
    ),
    "probe": (
        "probe|directions|report_probe|intervention",
        *("{}.json", "{}.md", "{}.html", "{}.npz", "logs/{}.log", "benchmarks/{}.tsv"),
        *(f"figures/{{}}.{ending}" for ending in ENDINGS),
    ),
}
"""Files that the workflow names by something of the study: the form of that, and their paths."""


def remove_leftovers(folder: str | Path, kept: Mapping[str, Collection[str]]) -> list[str]:
    """Remove what belongs to nothing that the study has any more, and nothing else.

    Args:
        folder: results/{study}.
        kept: for each of `FAMILIES`, what the study has.

    Returns:
        The paths of the removed files below the folder.
    """
    found = sorted(_leftovers(Path(folder), kept))
    for path in found:
        (Path(folder) / path).unlink()
    return found


def _leftovers(folder: Path, kept: Mapping[str, Collection[str]]) -> Iterator[str]:
    for family, (form, *paths) in FAMILIES.items():
        # Where upper and lower case are one, a file may still have the case of an earlier name.
        names = {name.casefold() for name in kept[family]}
        for start, end in (path.split("{}") for path in paths):
            for path in folder.glob(f"{start}*{end}"):
                place = path.relative_to(folder).as_posix()
                name = place[len(start) : -len(end)]
                if re.fullmatch(form, name) and name.casefold() not in names and path.is_file():
                    yield place
