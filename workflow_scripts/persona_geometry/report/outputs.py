"""What is in every file of a study's results: the tables of docs/outputs.md.

    python -m persona_geometry.report.outputs

A table stands between <!-- outputs: NAME --> and <!-- end -->. Statistics and their ranges are
those of the catalogue; all else is described here, and tests compare both with what is written.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from persona_geometry.bundle.contents import DESCRIBED
from persona_geometry.files import write_text
from persona_geometry.report.text import table
from persona_geometry.rsa.catalogue import NEEDS, NO_GATES, STATISTICS, Statistic, Tree

PAGE = Path(__file__).parents[3] / "docs" / "outputs.md"
TABLE = re.compile(r"(<!-- outputs: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

FILES = {
    **DESCRIBED,
    "vectors.npz": "vectors of every persona on every prompt, at the configured layers",
    "directions.npz": "directions that a probe found, for an intervention",
    "prompts/*.npz": "divergences of the personas on a prompt, and the store's keys of its cells",
    "bundle.zip": "the results to cite",
    "logs/*": "what a job said",
    "logs/*/*": "the same, of a rule with a job a prompt or shard",
    "benchmarks/*": "seconds and memory of a job, as Snakemake measured them",
    "benchmarks/*/*": "the same",
}
"""Files of results/{study}/."""

STUDY = {
    "study": "its name",
    "n_personas": "personas compared, the anchor aside",
    "n_pairs": "their pairs",
    "n_prompts": "prompts; null where the divergences come from a file",
    "personas": "their names, in the order of the table",
    "anchor": "the anchor's name, or null",
    "headline_layer": "layer of the gates",
    "estimator": "which divergence: `js`, `half_jeffreys`, or `imported`",
    "permutations": "of each test, as configured",
    "seed": "of permutations, bootstrap and splits",
    "layers": "configured layer to its statistics",
    "gates": "every gate and what came of it",
    "all_gates_pass": "whether every gate does; null where none was evaluated",
    "layer_curve": "every known layer to ρ and its tests",
    "across_layers": "tests and contrasts over the configured layers, and the best layer",
    "between_layers": "ρ of the cosine distances of two `layers`, as a matrix `spearman`",
    "top_pair_stability": "pairs among `top_residual_pairs`, with the layers at which they are",
    "noise_ceiling": "how well the divergences of half of the prompts tell those of the others",
    "geometries": "other geometry, to known layer, to its comparison",
    "kl_asymmetry": "whether the direction of a divergence goes with that of outcomes",
    "reasons": "why numbers beside the layers are null that have no `reason` beside them, by name",
    "warnings": "sentences on what a reader should know first",
}
"""Fields of alignment.json beside the layers."""

BESIDE = {
    "reason": "why a number beside it is null, in a sentence; null where none is",
    "reasons": "the same for single numbers, by name",
    "method": "how it was computed, in words",
    "enumerated": "whether all possible permutations were taken",
    "exhaustive": "whether all halves of the prompts were taken",
    "statement": "what the test can find, in a sentence",
    "caption": "what must be said with it",
    "covariates": "names of what is partialled out",
    "power_curve": "power by planted correlation",
    "pair": "two personas",
    "pairs": "rows of pairs",
    "relation": "`within_cluster`, `same_macro` or `cross_macro`",
    "cosine": "cosine distance",
    "js": "divergence",
    "cosine_rank": "rank of the cosine distance, 1 for the nearest",
    "js_rank": "rank of the divergence",
    "z_cos": "standardized residual of the cosine distance",
    "z_js": "of the divergence",
    "z_difference": "z_js less z_cos: above 0 the pair behaves more differently than it lies",
    "magnitude": "size of z_cos plus that of z_js",
    "decoupled": "whether z_cos and z_js have opposite signs",
    "share_in_top": "share of resamples in which it is",
    "in_top_k": "whether a predicted pair is among `top_residual_pairs`",
    "all_in_top_k": "whether all predicted pairs are",
    "top_k": "how many pairs are the top",
    "predictions": "pairs predicted to be among `top_residual_pairs`",
    "top_residual_pairs": "the top_k pairs by magnitude, which the radial covariate fits worst",
    "agreeing_pairs": "the top_k pairs whose two ranks differ least",
    "disagreeing_pairs": "the top_k pairs whose two ranks differ most",
    "parts": "share of variance that exactly these predictors have in common",
    "predictors": "which they are",
    "radial_is": "what the radial predictor is",
    "over": "over what units the interval under it is",
    "verdict": "`equivalent`, `beyond` or `undecided`",
    "stronger": "`cosine`, `js`, `equal` or `undecided`",
    "exploratory": "true: no test goes with it",
    "contrasts": "difference of ρ between every two configured layers",
    "layers": "which layers",
    "layer": "which layer",
    "n_layers": "how many layers",
    "difference": "ρ of the first less ρ of the second",
    "prompts": "interval over prompts",
    "personas": "interval over personas",
    "dual": "interval over prompts and personas",
    "clusters": "interval over clusters",
    "equivalence": "two one-sided tests against the smallest effect",
    "low": "lower end of the interval",
    "high": "upper end",
    "level": "its level",
    "se": "standard error",
    "df": "degrees of freedom",
    "p": "p-value",
    "smallest_effect": "the configured smallest effect",
    "spearman": "Spearman's ρ",
    "r2": "share of variance",
    "peak": "best of all known layers",
    "peak_configured": "best of the configured layers",
    "confidence_set": "layers that may be the best",
    "gates": "those of the layer, and what came of them",
    "statistic": "of a gate: what it is about",
    "comparison": "`>`, `>=`, `<` or `<=`",
    "threshold": "what the value is compared with",
    "value": "what was found; null where there is none",
    "passed": "true, false, or null where the gate was not evaluated",
    "status": "the same as `pass`, `fail` or `not_evaluated`",
}
"""Fields of alignment.json that carry no gate, by their own name, wherever they stand."""

RUN = {
    "study": "its name",
    "repository.commit": "of the workflow; null outside git",
    "repository.changed": "whether tracked files differed from it",
    "python": "version",
    "machine": "operating system and processor",
    "packages": "package to version, of the process that wrote this",
    "config.files": "in the order in which they were merged",
    "config.overrides": "from the command line",
    "config.effective": "what they come to",
    "model": "the config's section, with the `fingerprint` of what is loaded; of a GGUF file also "
    "`quantised`. null where both RDMs are from files",
    "inputs_sha256": "file that people wrote to its SHA-256",
    "results_sha256": "file that holds numbers to its SHA-256; figures and sentences show these",
    "gpu_work.jobs": "GPU jobs whose results the study uses, by whichever study they were run",
    "gpu_work.responses": "that they generated",
    "gpu_work.cells": "forward passes over a response under a persona",
    "gpu_work.pairs": "divergences of two cells",
    "gpu_work.seconds": "stage to seconds: `load`, `check`, `generate`, `force`, `diverge`",
    "gpu_work.devices": "that they ran on",
    "gpu_work.peak_gpu_bytes": "of the largest; null on a CPU",
    "gpu_work.packages": "distinct sets of versions that they ran with",
    "seconds_by_rule": "rule that made numbers to wall-clock seconds, summed over its jobs",
}
"""Fields of run.json."""

ARRAYS = {
    "js_by_prompt.npz": {
        "personas": ("N", "names, the anchor among them"),
        "prompts": ("Q", "names"),
        "cutoffs": ("C", "tokens that are averaged, as text; `full` for all"),
        "js": ("C × Q × N × N", "divergences, in nats, of the configured estimator"),
    },
    "vectors.npz": {
        "personas": ("N", "names"),
        "prompts": ("Q", "names"),
        "layers": ("L", "configured layers"),
        "vectors": ("L × Q × N × d", "whose means over prompts are the centroids"),
    },
    "top_tokens.npz": {
        "prompts": ("Q", "names"),
        "personas": ("N", "names"),
        "lengths": ("Q", "scored tokens of each response; T is their sum"),
        "ids": ("N × T × k", "token ids, likeliest first, of all responses one after the other"),
        "log_probabilities": ("N × T × k", "their log-probabilities, in nats"),
    },
    "prompts/{prompt}.npz": {
        "personas": ("N", "names"),
        "cells": ("N", "the store's key of each persona's cell"),
        "item": ("", "the store's key of the prompt's item"),
        "cutoffs": ("C", "as above"),
        "n_tokens": ("", "scored tokens"),
        "js": ("C × N × N", "Jensen–Shannon divergences, in nats"),
        "kl": ("C × N × N", "KL(row‖column), in nats"),
        "half_jeffreys": ("C × N × N", "½ (KL + KL), in nats"),
    },
}
"""Arrays of npz files: shape and content."""

OBJECTS = {
    "cosine_matrix.json": {
        "layer_N.persona_names": "names, in the order of rows and columns",
        "layer_N.matrix": "cosine similarities of the centroids at decoder block N, from 0",
    },
    "js_matrix.json": {
        "persona_names": "names, in the order of rows and columns",
        "estimator": "which divergence",
        "units": "of the divergences",
        "prompts": "names of those that are averaged",
        "cutoffs": "tokens that are averaged, or `full`, to the matrix",
    },
    "kl_matrix.json": {
        "persona_names": "names, in the order of rows and columns",
        "units": "of the divergences",
        "kl": "KL(row‖column) over whole responses",
    },
    "responses/{prompt}.json": {
        "prompt": "its name",
        "user": "its text",
        "token_ids": "the response's tokens as generated",
        "text": "the same, decoded without special tokens",
        "finish_reason": "`stop` where the model ended its turn, `length` where it was cut",
    },
}
"""Fields of the other JSON files."""


def statistics(tree: Tree = STATISTICS, prefix: str = "") -> Iterator[tuple[str, Statistic]]:
    """Every statistic of the catalogue by its name, with braces for what a study names."""
    for key, one in tree.items():
        if isinstance(one, Statistic):
            yield prefix + key, one
        else:
            yield from statistics(one, f"{prefix}{key}.")


def tables() -> dict[str, str]:
    """Name to table, as Markdown."""
    made = {
        "files": _meanings("file", FILES),
        "study": _meanings("field", STUDY),
        "statistics": table(
            ["statistic", "range", "p of", "null without"],
            [
                (f"`{name}`", _range(one), one.test or "", "; ".join(_needs(one)))
                for name, one in statistics()
                if name not in NO_GATES
            ],
        ),
        "beside": _meanings("field", BESIDE),
        "run": _meanings("field", RUN),
        "arrays": table(
            ["file", "array", "shape", "content"],
            [
                (f"`{file}`", f"`{name}`", shape or "one", content)
                for file, arrays in ARRAYS.items()
                for name, (shape, content) in arrays.items()
            ],
        ),
        "objects": table(
            ["file", "field", "content"],
            [
                (f"`{file}`", f"`{name}`", content)
                for file, fields in OBJECTS.items()
                for name, content in fields.items()
            ],
        ),
    }
    return {name: text + "\n" for name, text in made.items()}


def with_tables(text: str) -> str:
    """A text with the tables between its markers."""
    made = tables()
    return TABLE.sub(lambda found: found[1] + made[found[2]] + found[3], text)


def _meanings(what: str, meanings: Mapping[str, str]) -> str:
    rows = [(f"`{name}`", meaning) for name, meaning in meanings.items()]
    return table([what, "what it is"], rows)


def _range(one: Statistic) -> str:
    if (one.low, one.high) == (-math.inf, math.inf):
        return "any"
    if one.high == math.inf:
        return f"{one.low:g} or more"
    if one.low == -math.inf:
        return f"{one.high:g} or less"
    return f"{one.low:g} to {one.high:g}"


def _needs(one: Statistic) -> list[str]:
    return [text for need, text in NEEDS.items() if need in one.needs]


def main(path: Path = PAGE) -> None:
    """Write the tables anew."""
    write_text(path, with_tables(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
