"""Every statistic of one layer. Names and definitions are those of docs/statistics.md."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa import jackknife, pairs, residual, sensitivity
from persona_geometry.rsa.bootstrap import bootstrap_intervals
from persona_geometry.rsa.cka import debiased_cka, kernel_cka, linear_cka
from persona_geometry.rsa.commonality import commonality
from persona_geometry.rsa.comparators import compared
from persona_geometry.rsa.decoupling import TopPairs, decoupled_pairs
from persona_geometry.rsa.equivalence import EQUAL, UNDECIDED, equivalence
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.intervals import widest
from persona_geometry.rsa.layer_tests import LayerTests
from persona_geometry.rsa.multiplicity import fdr_q_values, p_values_of_families
from persona_geometry.rsa.outcomes import outcomes_comparison
from persona_geometry.rsa.permutation import mantel_p_values, partial_mantel
from persona_geometry.rsa.power import stratified_power
from persona_geometry.rsa.prompt_centroids import (
    crossvalidated_cosine_distances,
    fewest_coordinates,
)
from persona_geometry.rsa.ranks import rsa
from persona_geometry.rsa.reasons import (
    CONSTANT,
    COVARIATES_EXPLAIN,
    EXPLAINED,
    FROM_A_FILE,
    NO_COVARIATE,
    NO_VECTORS,
    TOO_FEW_PAIRS,
    TOO_FEW_PROMPTS,
)
from persona_geometry.rsa.reliability import split_prompts
from persona_geometry.study.sections import Alignment

PARTIAL_MANTEL_CAPTION = (
    "Not valid as a test of its own where both matrices are structured beyond the covariates "
    "(Guillot & Rousset 2013); no gate rests on this p-value."
)


class Layer:
    """One layer of a study. Its vectors may be large: they are read once, and go with it.

    Attributes:
        number: of the layer.
        whole, primary: the geometries with the anchor, where it was measured, and without.
        tests: of all layers.
        settings: the config's `alignment` section.
        vectors: (Q, N, d) vectors per prompt and persona, where there are any.
        unbiased: cross-validated cosine distances, where there are any.
        jackknife: the correlations without each prompt, persona and cluster.
    """

    def __init__(
        self,
        number: int,
        whole: Geometries,
        primary: Geometries,
        tests: LayerTests,
        settings: Alignment,
    ) -> None:
        self.number, self.tests, self.settings = number, tests, settings
        self.whole, self.primary = whole, primary
        self.vectors: np.ndarray | None = (primary.vectors or {}).get(number)
        self.unbiased = self._unbiased()
        self.jackknife = jackknife.jackknife(
            self.cosine, self.divergence, self.by_prompt, self.vectors, whole_clusters(primary)
        )

    @property
    def place(self) -> int:
        """Place of the layer among the configured ones."""
        return self.tests.layers.index(self.number)

    @property
    def cosine(self) -> Rdm:
        return self.primary.cosine[self.number]

    @property
    def divergence(self) -> Rdm:
        return self.primary.divergence["full"]

    @property
    def by_prompt(self) -> RdmStack | None:
        """Divergences of each prompt, where there are any."""
        return self.primary.by_prompt["full"] if self.primary.by_prompt else None

    def _unbiased(self) -> Rdm | None:
        if self.vectors is None:
            return None
        distances = crossvalidated_cosine_distances(self.vectors)
        return None if distances is None else self.cosine.of(distances)

    def statistics(self) -> dict[str, Any]:
        """The content of `layers.{L}` in alignment.json but for `reasons` and gates."""
        # Few coordinates, as prompts are weighed often.
        vectors = None if self.vectors is None else fewest_coordinates(self.vectors)
        top_pairs = TopPairs(len(self.cosine), self.settings.top_k)
        bootstrap = self._bootstrap(vectors, top_pairs)
        return {
            **self._agreement(),
            **self._within_clusters(),
            **self._past_clusters(),
            **self._past_radial_structure(),
            **self._past_the_anchor(),
            **self._prompts_and_cutoffs(),
            "crossvalidated_cosine": self._crossvalidated_cosine(),
            "split_prompts": self._split_prompts(vectors),
            **self._robustness(),
            "bootstrap": bootstrap,
            **self._pairs(top_pairs),
            "comparators": self._comparators(),
            "commonality": self._commonality(),
            "equivalence": self._equivalence(),
            "cka": self._cka(),
            "dispersion": self._dispersion(),
            "outcomes": self._outcomes(),
        }

    def why_no_partials(self) -> dict[str, str]:
        """Why partial correlations given clusters would be null; nothing where there are none."""
        if not self.primary.clusters:
            return {}
        kinds = {"partial_fine": ["fine"], "partial_joint": ["fine", "macro"]}
        return {name: self._why_no_partial(of) for name, of in kinds.items()}

    def _why_no_partial(self, kinds: list[str]) -> str:
        """Why a partial correlation given clusters would be null."""
        covariates = [cluster_models(self.primary)[kind].vector for kind in kinds]
        if rsa(self.cosine, self.divergence) is None:
            return CONSTANT
        if all(np.ptp(covariate) == 0 for covariate in covariates):
            return NO_COVARIATE
        few = residual.saturated(covariates, len(self.cosine.vector))
        return TOO_FEW_PAIRS if few else EXPLAINED

    def _agreement(self) -> dict[str, Any]:
        null, k = self.tests.mantel, self.tests.all_layers.index(self.number)
        return {
            "spearman": null.observed[k],
            "mantel_p": null.p_values()[k],
            "mantel_p_two_sided": self.tests.two_sided_p[k],
            "mantel_null": null.summary(k),
        }

    def _within_clusters(self) -> dict[str, Any]:
        null = self.tests.stratified
        if null is None:
            names = ("stratified_mantel_p", "stratified_mantel_null", "stratified_power")
            return dict.fromkeys(names)
        return {
            "stratified_mantel_p": null.p_values()[self.place],
            "stratified_mantel_null": null.summary(self.place),
            "stratified_power": stratified_power(
                self.cosine,
                [self.primary.clusters.get(name) for name in self.cosine.names],
                self.settings.seed,
                divergence=self.divergence,
                permutations=self.settings.permutations,
                p=float(null.p_values()[self.place]),
            ),
        }

    def _past_clusters(self) -> dict[str, Any]:
        fine = residual.fine_clusters(self.cosine.names, self.primary.clusters)
        masked, n_masked = sensitivity.cluster_masked(self.cosine, self.divergence, fine)
        collapsed, n_collapsed = sensitivity.cluster_collapsed(self.cosine, self.divergence, fine)
        return {
            "partial_fine": partial(self.primary, self.number, ["fine"]),
            "partial_joint": partial(self.primary, self.number, ["fine", "macro"]),
            "partial_mantel": self._partial_mantel(),
            "cluster_masked": masked,
            "cluster_masked_n_pairs": n_masked,
            "cluster_collapsed": collapsed,
            "cluster_collapsed_n_pairs": n_collapsed,
        }

    def _partial_mantel(self) -> dict[str, Any] | None:
        covariates = dict(self.primary.covariates)
        if self.primary.clusters:
            models = cluster_models(self.primary)
            covariates |= {f"same_{kind}_cluster": model for kind, model in models.items()}
        if not covariates:
            return None
        result = {"covariates": list(covariates), "caption": PARTIAL_MANTEL_CAPTION}
        if all(np.ptp(rdm.vector) == 0 for rdm in covariates.values()):
            return result | {"spearman": None, "p": None, "reason": "No covariate varies."}
        ranks = [rdm.ranks for rdm in covariates.values()]
        if residual.saturated(ranks, len(self.cosine.vector)):
            return result | {"spearman": None, "p": None, "reason": TOO_FEW_PAIRS}
        null = partial_mantel(
            self.cosine, self.divergence, list(covariates.values()), self.tests.free
        )
        defined = np.isfinite(null.observed[0])
        return result | {
            "spearman": null.observed[0],
            "p": null.p_values()[0],
            "reason": None if defined else COVARIATES_EXPLAIN,
        }

    def _past_radial_structure(self) -> dict[str, Any]:
        rest = self.tests.residuals[self.number]
        defined = rest.spearman is not None
        return {
            "residual_mean_marginal": rest.spearman,
            "residual_mean_marginal_p": self.tests.radial.p_values()[self.place]
            if defined
            else None,
            "residual_mean_marginal_r2": dict(zip(("cosine", "js"), rest.r2, strict=True)),
        }

    def _past_the_anchor(self) -> dict[str, Any]:
        null, anchor = self.tests.with_anchor, self.whole.anchor
        if null is None or anchor is None:
            return dict.fromkeys(("residual_anchor", "residual_anchor_r2", "with_anchor"))
        whole_cosine = self.whole.cosine[self.number]
        whole_divergence = self.whole.divergence["full"]
        rest = residual.Residuals(
            self.cosine,
            residual.anchor_sums(whole_cosine, anchor),
            self.divergence,
            residual.anchor_sums(whole_divergence, anchor),
        )
        return {
            "residual_anchor": rest.spearman,
            "residual_anchor_r2": dict(zip(("cosine", "js"), rest.r2, strict=True)),
            "with_anchor": {
                "spearman": null.observed[self.place],
                "mantel_p": null.p_values()[self.place],
                "n_pairs": len(whole_cosine.vector),
            },
        }

    def _prompts_and_cutoffs(self) -> dict[str, Any]:
        """Each prompt, and each cutoff, tested by the layers' own permutations."""
        cutoffs, stacks = self.primary.divergence, self.primary.by_prompt
        prompts = list(stacks["full"]) if stacks else []
        tested, inverse = [*cutoffs.values(), *prompts], self.tests.free.inverse()
        families = [slice(0, len(cutoffs)), slice(len(cutoffs), len(tested))]
        found = p_values_of_families(tested, self.cosine, inverse, families)
        of_cutoffs, of_prompts = (_tests(*(p[one] for p in found)) for one in families)

        def named(labels: Iterable[str], tests: dict[str, np.ndarray]) -> dict[str, Any]:
            return {name: dict(zip(labels, ps, strict=True)) for name, ps in tests.items()}

        per_prompt = None
        if stacks:
            per_prompt = {
                **sensitivity.per_prompt(self.cosine, stacks["full"]),
                **named(stacks["full"].labels, of_prompts),
            }
        return {
            "per_prompt": per_prompt,
            "cutoffs": {**self._cutoffs(), **named(list(cutoffs), of_cutoffs)},
        }

    def _split_prompts(self, vectors: np.ndarray | None) -> dict[str, Any]:
        splits, seed = self.settings.noise_ceiling_splits, self.settings.seed
        return split_prompts(vectors, self.by_prompt, splits, seed)

    def _crossvalidated_cosine(self) -> dict[str, Any]:
        distance = self.unbiased
        if distance is None:
            reason = "A persona's vectors agree no better between prompts than by chance."
            if self.vectors is None:
                reason = NO_VECTORS
            elif len(self.vectors) < 2:
                reason = TOO_FEW_PROMPTS
            return {"spearman": None, "mantel_p": None, "reason": reason}
        (p,) = mantel_p_values([distance], self.divergence, self.tests.free)
        return {"spearman": rsa(distance, self.divergence), "mantel_p": p, "reason": None}

    def _cutoffs(self) -> dict[str, Any]:
        rho = {cutoff: rsa(self.cosine, d) for cutoff, d in self.primary.divergence.items()}
        whole = rho["full"]
        ratio = {
            cutoff: None if value is None or whole is None or whole <= 0 else value / whole
            for cutoff, value in rho.items()
            if cutoff != "full"
        }
        return {**rho, "ratio": ratio}

    def _robustness(self) -> dict[str, Any]:
        named = [name for name in self.settings.leave_out if name in self.cosine.names]
        return {
            "jackknife": sensitivity.jackknife(self.cosine, self.divergence),
            "leave_out": {name: self._left_out(name) for name in named},
            "intervals": jackknife.intervals(self.jackknife),
        }

    def _left_out(self, name: str) -> dict[str, float | None]:
        rest = self.primary.select([other for other in self.primary.personas if other != name])
        cosine, divergence = rest.cosine[self.number], rest.divergence["full"]
        return {
            "spearman": rsa(cosine, divergence),
            "partial_joint": partial(rest, self.number, ["fine", "macro"]),
            "residual_mean_marginal": residual.radial_residuals(cosine, divergence).spearman,
        }

    def _bootstrap(self, vectors: np.ndarray | None, top_pairs: TopPairs) -> dict[str, Any] | None:
        """Intervals, while `top_pairs` counts what the resamples of the prompts have on top."""
        if not self.settings.bootstrap:
            return None
        return bootstrap_intervals(
            vectors,
            self.cosine,
            self.divergence,
            self.by_prompt,
            self.settings.bootstrap,
            self.settings.seed,
            whole_clusters(self.primary),
            top_pairs.see,
        )

    def _decoupling(self, table: list[dict[str, Any]], top_pairs: TopPairs) -> dict[str, Any]:
        """The pairs that are near in one geometry and far in the other."""
        if self.by_prompt is None:
            reason = FROM_A_FILE
        elif len(self.by_prompt) < 2:
            reason = TOO_FEW_PROMPTS
        else:
            reason = None if self.settings.bootstrap else "alignment.bootstrap is 0."
        return decoupled_pairs(table, self.settings.top_k, top_pairs, reason)

    def _pairs(self, top_pairs: TopPairs) -> dict[str, Any]:
        rest, k = self.tests.residuals[self.number], self.settings.top_k
        table = pairs.pair_table(
            self.primary.clusters, self.primary.macro, self.cosine, self.divergence, rest
        )
        top = pairs.top_residual_pairs(table, k)
        return {
            "top_residual_pairs": top,
            "decoupling": self._decoupling(table, top_pairs),
            "predictions": pairs.check_predictions(table, top, self.settings.predictions),
            "agreeing_pairs": pairs.agreeing_pairs(table, k),
            "disagreeing_pairs": pairs.disagreeing_pairs(table, k),
        }

    def _comparators(self) -> dict[str, Any] | None:
        chosen = self.settings.comparators
        if not chosen:
            return None
        free = self.tests.free
        return compared(chosen, self.cosine, self.divergence, self.unbiased, free)

    def _commonality(self) -> dict[str, Any]:
        """R² of the divergences' ranks, by what explains them."""
        whole, anchor = self.whole.cosine[self.number], self.whole.anchor
        if anchor in self.whole.personas:
            radial, kind = residual.anchor_sums(whole, str(anchor)), "distance from the anchor"
        else:
            radial, kind = residual.mean_marginals(self.cosine), "mean distance from all others"
        lexical = self.primary.lexical
        models = cluster_models(self.primary) if self.primary.clusters else {}
        predictors = {
            "cosine": [self.cosine.ranks],
            "clusters": [model.ranks for model in models.values()],
            "radial": [doubled_ranks(radial)],
            "lexical": [lexical.ranks] if lexical is not None else [],
        }
        return {**commonality(self.divergence.ranks, predictors), "radial_is": kind}

    def _equivalence(self) -> dict[str, Any] | None:
        smallest = self.settings.smallest_effect
        if smallest is None:
            return None
        over = widest(jackknife.intervals(self.jackknife))
        test = equivalence(self.jackknife.rho, over, smallest, fisher=True)
        return {"over": over["over"], **test}

    def _cka(self) -> dict[str, Any] | None:
        """CKA of centroids and of JS similarities (1 - JS / ln 2), as features and as a kernel."""
        if self.vectors is None:
            return None
        centroids = self.vectors.mean(0, dtype=np.float64)
        similarities = 1.0 - self.divergence.square / math.log(2)
        return {
            "linear": linear_cka(centroids, similarities),
            "debiased": debiased_cka(centroids, similarities),
            "kernel": kernel_cka(centroids, similarities),
            "exploratory": True,
        }

    def _dispersion(self) -> dict[str, Any]:
        values = self.cosine.vector
        sd, widest = (
            max(0.0 if np.ptp(rdm.ranks) == 0 else rdm.vector.std() for rdm in rdms)
            for rdms in ([self.cosine], [self.primary.cosine[x] for x in self.tests.layers])
        )
        return {
            "mean": values.mean(),
            "sd": sd,
            "min": values.min(),
            "max": values.max(),
            "ratio_to_widest": widest / sd if sd > 0 else None,
        }

    def _outcomes(self) -> dict[str, Any] | None:
        if not self.primary.outcomes:
            return None
        found = outcomes_comparison(
            self.cosine,
            self.divergence,
            self.primary.outcomes,
            self.settings.bootstrap,
            self.settings.seed,
        )
        smallest, difference = self.settings.smallest_effect, found["difference"]
        test = smallest and equivalence(difference["value"], difference, smallest)
        if test and found["stronger"] == UNDECIDED and test["verdict"] == EQUAL:
            found["stronger"] = "equal"
        return found | {"difference": difference | {"equivalence": test}}


def _tests(p: np.ndarray, two_sided: np.ndarray, step_down: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "mantel_p": p,
        "mantel_p_two_sided": two_sided,
        "step_down_p": step_down,
        "fdr_q": fdr_q_values(p),
    }


def whole_clusters(geometries: Geometries) -> list[str]:
    """Fine cluster of each persona, or its own; empty where there are no clusters."""
    if not geometries.clusters:
        return []
    return residual.fine_clusters(geometries.personas, geometries.clusters)


def cluster_models(geometries: Geometries) -> dict[str, Rdm]:
    """Model RDMs of cluster membership: "fine" and "macro"."""
    names, clusters = geometries.personas, geometries.clusters
    macro = residual.macro_clusters(names, clusters, geometries.macro)
    return {
        "fine": residual.same(names, residual.fine_clusters(names, clusters)),
        "macro": residual.same(names, macro),
    }


def partial(geometries: Geometries, layer: int, kinds: list[str]) -> float | None:
    """Partial Spearman correlation given cluster membership; None without clusters."""
    if not geometries.clusters:
        return None
    models = cluster_models(geometries)
    covariates = [models[kind].vector for kind in kinds]
    if all(np.ptp(covariate) == 0 for covariate in covariates):
        return None  # nothing would be partialled out
    return residual.partial_spearman(
        geometries.cosine[layer].ranks, geometries.divergence["full"].ranks, covariates
    )
