"""A finished study, opened for work in a notebook: its RDMs, responses, statistics and divergences.

    from persona_geometry import open_study

    study = open_study("results/demo")
    study.cosine[3]                     # an Rdm
    study.statistics                    # a table, one row a layer
    study.token_divergences("language", "poet", "surgeon")

Nothing here needs torch, and nothing is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from persona_geometry.errors import InputError
from persona_geometry.files import sha256
from persona_geometry.probe.files import read_probe
from persona_geometry.published import read_published_response, read_run, read_top_tokens
from persona_geometry.rdms.divergences import token_divergences
from persona_geometry.rdms.files import (
    DivergenceRdms,
    read_cosine_rdms,
    read_divergence_rdms,
    read_prompt_divergences,
    read_stacks,
)
from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rsa.geometries import Geometries, read_geometries
from persona_geometry.rsa.results import read_alignment
from persona_geometry.store.store import Store
from persona_geometry.study.tables import clusters_of, macro_clusters_of, read_personas


def open_study(folder: str | Path, store: str | Path | None = None) -> "StudyResults":
    """Open the results of a study.

    Args:
        folder: `results/{study}`.
        store: the store that they were published from; beside the folder where none is named.
            Only `token_divergences` reads it.

    Raises:
        InputError: no finished study is there.
    """
    folder = Path(folder)
    if not (folder / "alignment.json").is_file():
        raise InputError(
            f"{folder} holds no alignment.json, so no finished study; give the folder "
            f"results/{{study}} of one that has run."
        )
    return StudyResults(folder, Store(store or folder.parent / "store"))


@dataclass(frozen=True)
class StudyResults:
    """The results of one study; each is read when it is first asked for."""

    folder: Path
    store: Store

    @cached_property
    def alignment(self) -> dict[str, Any]:
        """The content of alignment.json; docs/statistics.md explains its names."""
        return read_alignment(self.folder / "alignment.json")

    @cached_property
    def run(self) -> dict[str, Any]:
        """The content of run.json: where the numbers come from."""
        return read_run(self.folder / "run.json")

    @property
    def personas(self) -> list[str]:
        """The personas that were compared, without the anchor."""
        return list(self.alignment["personas"])

    @property
    def anchor(self) -> str | None:
        name: str | None = self.alignment["anchor"]
        return name

    @property
    def headline_layer(self) -> int:
        return int(self.alignment["headline_layer"])

    @cached_property
    def statistics(self) -> pd.DataFrame:
        """Every single number of alignment.json by layer, inner ones as `per_prompt.median`."""
        rows = {
            int(layer): dict(_numbers(statistics))
            for layer, statistics in self.alignment["layers"].items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer")

    @cached_property
    def gates(self) -> pd.DataFrame:
        """Each gate with its value and status."""
        return pd.DataFrame(self.alignment["gates"])

    @cached_property
    def cosine(self) -> dict[int, Rdm]:
        """Layer to cosine distances, the anchor among the personas where it was measured."""
        return read_cosine_rdms(self.folder / "cosine_matrix.json")

    @cached_property
    def divergence(self) -> dict[str, Rdm]:
        """Cutoff ("8", "32", "full") to divergences, in nats."""
        return self._divergences.rdms

    @cached_property
    def divergence_by_prompt(self) -> dict[str, RdmStack] | None:
        """Cutoff to the divergences of each prompt; None where they were not measured."""
        path = self._measured("js_by_prompt.npz")
        return read_stacks(path) if path else None

    @cached_property
    def responses(self) -> pd.DataFrame:
        """The shared responses: user's text, response, token ids and how it ended, by prompt."""
        prompts = self._divergences.prompts or []
        files = [self.folder / "responses" / f"{prompt}.json" for prompt in prompts]
        rows = [vars(read_published_response(path)) for path in files]
        return pd.DataFrame(rows).set_index("prompt") if rows else pd.DataFrame()

    @cached_property
    def probe(self) -> dict[str, Any] | None:
        """The content of probe.json (docs/probe.md); None where nothing was probed."""
        path = self._measured("probe.json")
        return read_probe(path) if path else None

    def geometries(self) -> Geometries:
        """What the statistics were computed on, to compute some again.

        Raises:
            InputError: the persona table, which has the clusters, has changed since the run.
        """
        table = self.run["config"]["effective"]["personas"]
        if sha256(table) != self.run["inputs_sha256"][table]:
            raise InputError(
                f"{table} has changed since {self.folder} was computed; run the workflow again."
            )
        personas = read_personas(table)
        return read_geometries(
            self.folder / "cosine_matrix.json",
            self.folder / "js_matrix.json",
            by_prompt=self._measured("js_by_prompt.npz"),
            vectors=self._measured("vectors.npz"),
            kl=self._measured("kl_matrix.json"),
            also=sorted((self.folder / "geometries").glob("*.json")),
            system_prompts={p.name: p.system_prompt for p in personas},
            anchor=self.anchor,
            clusters=clusters_of(personas),
            macro=macro_clusters_of(personas),
        )[0]

    def token_divergences(self, prompt: str, first: str, second: str) -> pd.DataFrame:
        """Divergences of two personas at every token of a response, in nats.

        Returns:
            A row a scored token: `token_id` (NA where the scored tokens are not exactly the
            generated ones), `js`, `kl_first_second` and `kl_second_first`.

        Raises:
            InputError: no such prompt or persona, or the store no longer has the pair.
        """
        path = self.folder / "prompts" / f"{prompt}.npz"
        if not path.is_file():
            raise InputError(f"{self.folder} has no prompt '{prompt}'; see `responses`.")
        published = read_prompt_divergences(path)
        cells = dict(zip(published.personas, published.cells, strict=True))
        for name in (first, second):
            if name not in cells:
                raise InputError(f"{self.folder} has no persona '{name}'; see `personas`.")
        js, forth, back = token_divergences(self.store, published.item, cells[first], cells[second])
        ids = self.responses.loc[prompt, "token_ids"]
        token_ids = pd.array(ids if len(ids) == len(js) else [pd.NA] * len(js), dtype="Int64")
        columns = {"js": js, "kl_first_second": forth, "kl_second_first": back}
        return pd.DataFrame({"token_id": token_ids, **columns}).rename_axis("token")

    def top_tokens(self, prompt: str, persona: str) -> pd.DataFrame:
        """What a persona would likeliest have said at every token of a response.

        Returns:
            A row a scored token and rank: `token` (its place), `rank` (1 the likeliest),
            `token_id` and `probability`.

        Raises:
            InputError: the study keeps no top tokens, or has no such prompt or persona.
        """
        path = self._measured("top_tokens.npz")
        if path is None:
            raise InputError(
                f"{self.folder} keeps no top tokens; set scoring.top_tokens and run it again."
            )
        top = read_top_tokens(path)
        for name, known, kind in (
            (prompt, top.prompts, "prompt"),
            (persona, top.personas, "persona"),
        ):
            if name not in known:
                raise InputError(f"{self.folder} has no {kind} '{name}'.")
        (ids,), (log_probabilities,) = top.of(prompt, [persona])
        token, rank = np.indices(ids.shape)
        columns = {
            "token": token.ravel(),
            "rank": rank.ravel() + 1,
            "token_id": ids.ravel(),
            "probability": np.exp(log_probabilities.ravel().astype(float)),
        }
        return pd.DataFrame(columns)

    @cached_property
    def _divergences(self) -> DivergenceRdms:
        return read_divergence_rdms(self.folder / "js_matrix.json")

    def _measured(self, name: str) -> Path | None:
        path = self.folder / name
        return path if path.is_file() else None


def _numbers(statistics: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Names and values of the numbers in nested statistics; tables of pairs are left out."""
    found: list[tuple[str, float]] = []
    for name, value in statistics.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((prefix + name, value))
        elif value is None:
            found.append((prefix + name, np.nan))
    return found
