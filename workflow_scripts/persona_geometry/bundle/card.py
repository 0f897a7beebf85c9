"""README.md of a bundle: what it is, in the form of a data set's card on the Hugging Face hub."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from persona_geometry.bundle.contents import DESCRIBED, OWN
from persona_geometry.bundle.recompute import NEED_VECTORS
from persona_geometry.report.summary import summarize
from persona_geometry.report.text import table
from persona_geometry.study.sections import Bundle

TAGS = ["persona-geometry", "representational-similarity-analysis", "interpretability"]


def card(
    alignment: Mapping[str, Any],
    run: Mapping[str, Any],
    model: str,
    bundle: Bundle,
    names: Iterable[str],
) -> str:
    """The card as Markdown, with its front matter.

    Args:
        alignment, run: the content of alignment.json and run.json.
        model: what was measured, in a sentence; empty where RDMs were read.
        bundle: the config's section.
        names: of the files beside it.
    """
    study = alignment["study"]
    front = _front_matter(study, bundle)
    # Without its title, and up to what it says of the headline layer alone.
    result = summarize(dict(alignment), model).partition("\n")[2].partition("\n## Layer ")[0]
    result = result.replace("\n## ", "\n### ")
    by = f" by {', '.join(bundle.authors)}" if bundle.authors else ""
    commit = run["repository"]["commit"]
    software = f"persona-geometry, commit {commit}" if commit else "persona-geometry"
    license = (
        f"License: {bundle.license}."
        if bundle.license
        else "The authors have given no license; ask them before you use it for more than a check."
    )
    held = list(names)
    kinds = [
        (f"`{pattern}`", meaning)
        for pattern, meaning in {**DESCRIBED, **OWN}.items()
        if any(PurePath(name).match(pattern) for name in held)
    ]
    return f"""{front}
# {study}: hidden states and behavior of {alignment["n_personas"]} personas

Do the hidden states of a language model's personas have the same geometry as its behavior? This is
the study `{study}`{by}, measured and compared by {software}. `report.html` is the result to read
and explore, `summary.md` the same in sentences.

## Result
{result}
## Files

{table(["file", "what it is"], kinds)}

## Check it

`sha256sum -c SHA256SUMS` checks every file. With the package `persona_geometry` of the repository
installed, this checks them too, computes every statistic that rests on the matrices again,
permutations, bootstrap and gates included, and compares it with `alignment.json`:

```bash
python -m persona_geometry.bundle .
```

Hidden states are not here, so what needs the vectors of single prompts is not computed again:
{", ".join(f"`{name}`" for name in NEED_VECTORS)}.
To measure anew, run the workflow at that commit with `config.yaml`.

## Cite it

{license} Cite this bundle, and {software}.
`ro-crate-metadata.json` describes it for machines (RO-Crate 1.2).
"""


def _front_matter(study: str, bundle: Bundle) -> str:
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        license=bundle.license.lower() if bundle.license else None,
        pretty_name=f"persona-geometry: {study}",
        tags=TAGS,
        size_categories=["n<1K"],
    )
    return f"---\n{data.to_yaml()}\n---\n"
