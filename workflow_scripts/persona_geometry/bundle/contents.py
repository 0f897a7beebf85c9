"""What of a study goes into its bundle, and under which name."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

CHECKSUMS = "SHA256SUMS"
CONFIG = "config.yaml"
CARD = "README.md"

DESCRIBED = {
    "alignment.json": "every statistic and gate, by layer",
    "summary.md": "the result in sentences",
    "summary.html": "the same as a page",
    "report.html": "the result as a page to read and explore",
    "run.json": "where the numbers come from: commit, packages, config, model, device, seconds",
    "cosine_matrix.json": "cosine similarities of the personas' centroids at every layer",
    "cosine_distance/*.tsv": "cosine distances at a layer",
    "js_matrix.json": "divergences of the personas, at every cutoff",
    "js_matrix/*.tsv": "divergences at a cutoff",
    "js_by_prompt.npz": "divergences of the personas on each prompt",
    "kl_matrix.json": "directed divergences (KL) of the personas",
    "geometries/*.json": "cosine similarities of another geometry, at every layer",
    "responses/*.json": "the response to a prompt that all personas were scored on",
    "top_tokens.npz": "the likeliest next tokens of every persona at every token of a response",
    "figures/*": "a figure, its data or its caption",
    "probe.json": "a few personas looked at closely",
    "probe.md": "the same in sentences",
    "probe.html": "the same as a page",
    "intervention.json": "what taking a direction out changed",
    "intervention.md": "the same in sentences",
    "intervention.html": "the same as a page",
}
"""Results of a study that are bundled, and what each is. Hidden states and vectors are not."""
OWN = {
    CONFIG: "the study's settings, with this bundle's tables",
    CARD: "what this is, how to check it and how to cite it",
    CHECKSUMS: "SHA-256 of every other file; check them with: sha256sum -c SHA256SUMS",
    "inputs/*": "a table that the study was computed from",
    "pins/*": "versions of the packages that the workflow is made for",
}
"""What is in a bundle beside them."""
PINS = ("constraints.txt", "cpu.txt", "gpu.txt")


def result_files(folder: str | Path) -> dict[str, Path]:
    """Name in the bundle to file, for the results of a study that are bundled."""
    folder = Path(folder)
    found = {path for pattern in DESCRIBED for path in folder.glob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def input_names(paths: Iterable[str]) -> dict[str, str]:
    """Path, as the config has it, of a table that people wrote to its name in the bundle.

    Two tables of one name are told apart by a number.
    """
    names: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        name, n = Path(path).name, 1
        while f"inputs/{name}" in names.values():
            n += 1
            name = f"{Path(path).stem}-{n}{Path(path).suffix}"
        names[path] = f"inputs/{name}"
    return names


def described(name: str) -> str:
    """What a file of a bundle is."""
    patterns = {**DESCRIBED, **OWN}
    return next(meaning for form, meaning in patterns.items() if PurePath(name).match(form))


def checksums(sums: Mapping[str, str]) -> str:
    """SHA-256 by name in the form that `sha256sum -c` reads."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def read_checksums(text: str) -> dict[str, str]:
    """Name to SHA-256, of what `checksums` wrote."""
    lines = [line.split("  ", 1) for line in text.splitlines()]
    return {name: digest for digest, name in lines}
