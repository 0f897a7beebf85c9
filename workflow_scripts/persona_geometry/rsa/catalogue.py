"""Every statistic that can carry a gate: its name, its range, and what a study needs for it.

`STATISTICS` has the form of a layer in alignment.json, with what belongs to the study beside it. A
name in braces stands for each of the study's cutoffs, prompts and so on. A new statistic is entered
here, or among `NO_GATES`; a test compares both with what `align` returns.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf

from persona_geometry.rsa.comparators import COMPARATORS
from persona_geometry.rsa.permutation import QUANTILES, Permutations


@dataclass(frozen=True)
class Statistic:
    """What is known of a statistic before it is computed.

    Attributes:
        low, high: its range.
        test: whose permutations make it, where it is a p-value: a key of `Scope.tests`.
        needs: keys of `NEEDS`; without any of them it is null.
    """

    low: float = -inf
    high: float = inf
    test: str | None = None
    needs: frozenset[str] = frozenset()


NEEDS = {
    "prompts": "the divergences of single prompts, which an RDM from a file does not have",
    "two prompts": "at least two prompts",
    "vectors": "the vectors of the centroids, which RDMs from a file do not have",
    "clusters": "clusters in the persona table",
    "strata": "a cluster of two or more personas",
    "covariates": "clusters or alignment.covariates",
    "anchor": "an anchor that was measured",
    "bootstrap": "alignment.bootstrap above 0",
    "splits": "alignment.noise_ceiling_splits above 0",
    "outcomes": "alignment.outcomes",
    "smallest effect": "alignment.smallest_effect",
    **{name: f"{name} among alignment.comparators" for name in COMPARATORS},
}
"""What some statistics need."""

Tree = Mapping[str, "Statistic | Tree"]


def _given(needs: str, what: Tree) -> Tree:
    """The same, where the study has what is needed."""
    return {
        name: replace(one, needs=one.needs | {needs})
        if isinstance(one, Statistic)
        else _given(needs, one)
        for name, one in what.items()
    }


RHO, SHARE, SIZE, ANY = Statistic(-1, 1), Statistic(0, 1), Statistic(0), Statistic()
P, STRATIFIED_P, ANCHOR_P = (Statistic(0, 1, test) for test in ("free", "strata", "anchor"))
_SPREAD = {"median": RHO, "iqr": Statistic(0, 2), "min": RHO, "max": RHO}
_R2 = {"cosine": SHARE, "js": SHARE}
_INTERVAL = {"low": RHO, "high": RHO, "level": SHARE, "se": SIZE, "df": SIZE}
_RESAMPLED = {**_INTERVAL, "resamples": SIZE}
_NULL: Tree = {
    "mean": RHO,
    "sd": SHARE,
    "quantiles": {str(quantile): RHO for quantile in QUANTILES},
    "permutations": SIZE,
    "possible": SIZE,
    "smallest_p": SHARE,
}
_POWER: Tree = {
    "n_admissible": SIZE,
    "smallest_p": SHARE,
    "within_pairs": SIZE,
    "moving_pairs": SIZE,
    "detectable_rho": RHO,
    "observed_rho": RHO,
    "simulations": SIZE,
}
_EQUIVALENCE = _given("smallest effect", {"smallest_effect": SHARE, "p": SHARE})
_TESTS = ("mantel_p", "mantel_p_two_sided", "step_down_p", "fdr_q")
_DIFFERENCE: Tree = {
    "value": Statistic(-2, 2),
    **{**_INTERVAL, "low": ANY, "high": ANY},
    "equivalence": _EQUIVALENCE,
}
_PREDICTORS: Tree = {
    "cosine": ANY,
    **_given("clusters", {"clusters": ANY}),
    "radial": ANY,
    "lexical": ANY,
}
_OUTCOME = {"spearman": RHO, **_given("bootstrap", _RESAMPLED)}


def _by_unit(interval: Tree) -> Tree:
    """An interval over each kind of unit that is taken for a sample."""
    return {
        "personas": interval,
        **_given("clusters", {"clusters": interval}),
        **_given("prompts", _given("two prompts", {"prompts": interval, "dual": interval})),
    }


STATISTICS: Tree = {
    "spearman": RHO,
    "mantel_p": P,
    "mantel_p_two_sided": P,
    "mantel_null": _NULL,
    **_given(
        "strata",
        {
            "stratified_mantel_p": STRATIFIED_P,
            "stratified_mantel_null": _NULL,
            "stratified_power": _POWER,
        },
    ),
    **_given("clusters", {"partial_fine": RHO, "partial_joint": RHO}),
    "partial_mantel": _given("covariates", {"spearman": RHO}),
    "cluster_masked": RHO,
    "cluster_masked_n_pairs": SIZE,
    "cluster_collapsed": RHO,
    "cluster_collapsed_n_pairs": SIZE,
    "residual_mean_marginal": RHO,
    "residual_mean_marginal_p": P,
    "residual_mean_marginal_r2": _R2,
    **_given(
        "anchor",
        {
            "residual_anchor": RHO,
            "residual_anchor_r2": _R2,
            "with_anchor": {"spearman": RHO, "mantel_p": ANCHOR_P, "n_pairs": SIZE},
        },
    ),
    "per_prompt": _given(
        "prompts",
        {
            **_SPREAD,
            "share_above_0.5": SHARE,
            "values": {"{prompt}": RHO},
            **{name: {"{prompt}": P} for name in _TESTS},
        },
    ),
    "cutoffs": {
        "{cutoff}": RHO,
        "ratio": {"{shorter}": ANY},
        **{name: {"{cutoff}": P} for name in _TESTS},
    },
    "jackknife": {**_SPREAD, "values": {"{persona}": RHO}},
    "leave_out": {
        "{left_out}": {
            "spearman": RHO,
            **_given("clusters", {"partial_joint": RHO}),
            "residual_mean_marginal": RHO,
        }
    },
    "intervals": _by_unit(_INTERVAL),
    "bootstrap": _given("bootstrap", _by_unit(_RESAMPLED)),
    "crossvalidated_cosine": _given(
        "vectors", _given("two prompts", {"spearman": RHO, "mantel_p": P})
    ),
    "split_prompts": _given(
        "splits",
        _given(
            "vectors",
            _given(
                "two prompts",
                {
                    "different_prompts": RHO,
                    "same_prompts": RHO,
                    "split_half": {"cosine": RHO, "js": RHO},
                    "reliability": {"cosine": SHARE, "js": SHARE},
                    "ceiling": SHARE,
                    "disattenuated": ANY,
                    "splits": SIZE,
                },
            ),
        ),
    ),
    "decoupling": _given(
        "prompts", _given("two prompts", _given("bootstrap", {"resamples": SIZE}))
    ),
    "comparators": {
        **_given("rho_a", {"rho_a": RHO}),
        **_given("tau_a", {"tau_a": RHO}),
        **_given(
            "whitened_cosine",
            {
                "whitened_cosine": {"value": RHO, "mantel_p": P},
                "whitened_unbiased_cosine": _given(
                    "vectors", _given("two prompts", {"value": RHO, "mantel_p": P})
                ),
            },
        ),
    },
    "commonality": {
        "r2": SHARE,
        "r2_adjusted": Statistic(-inf, 1),
        "columns": SIZE,
        "alone": _PREDICTORS,
        "unique": _PREDICTORS,
        "shared": _PREDICTORS,
    },
    "equivalence": _EQUIVALENCE,
    "cka": _given("vectors", {"linear": SHARE, "debiased": ANY, "kernel": RHO}),
    "dispersion": {
        "mean": Statistic(0, 2),
        "sd": SHARE,
        "min": Statistic(0, 2),
        "max": Statistic(0, 2),
        "ratio_to_widest": Statistic(1),
    },
    "outcomes": _given(
        "outcomes",
        {
            "n_outcomes": SIZE,
            "n_personas": SIZE,
            "cosine": _OUTCOME,
            "js": _OUTCOME,
            "difference": {
                "value": RHO,
                **_given("bootstrap", _RESAMPLED),
                "equivalence": _EQUIVALENCE,
            },
        },
    ),
    # Of the study; across layers each gate takes the value of its own layer.
    "layer_curve": {"spearman": RHO, "family_wise_p": P, **dict.fromkeys(_TESTS, P)},
    "across_layers": {
        "family_wise_p": P,
        "step_down_p": P,
        "fdr_q": P,
        **_given("strata", {"stratified_family_wise_p": STRATIFIED_P}),
    },
    "geometries": {
        "{geometry}": {
            "spearman": RHO,
            "mantel_p": P,
            "family_wise_p": P,
            "sd": SHARE,
            "interval": _INTERVAL,
            "difference": _DIFFERENCE,
        }
    },
    "kl_asymmetry": _given(
        "outcomes",
        _given(
            "prompts",
            {
                "spearman": RHO,
                "p_two_sided": P,
                "n_pairs": SIZE,
                "n_personas": SIZE,
                "share": SHARE,
                **_INTERVAL,
            },
        ),
    ),
    "noise_ceiling": _given(
        "splits",
        _given(
            "prompts",
            _given(
                "two prompts",
                {
                    "split_half": RHO,
                    "reliability": SHARE,
                    "rho_ceiling": SHARE,
                    "low": SHARE,
                    "high": SHARE,
                    "splits": SIZE,
                },
            ),
        ),
    ),
}

NO_GATES = {
    "partial_mantel.p": "the p-value of a partial Mantel test is not valid where both matrices are "
    "structured; gate on partial_joint or mantel_p instead",
}
"""Numbers that must not carry a gate, and why."""


@dataclass(frozen=True)
class Scope:
    """What of a study decides which statistics it has.

    Attributes:
        names: what each name in braces stands for.
        has: which of `NEEDS` it has.
        tests: name of a permutation test to its permutations.
    """

    names: Mapping[str, Sequence[str]]
    has: frozenset[str]
    tests: Mapping[str, Permutations]

    @classmethod
    def of(
        cls,
        personas: Sequence[str],
        clusters: Mapping[str, str],
        prompts: Sequence[str],
        cutoffs: Sequence[int],
        left_out: Sequence[str],
        permutations: int,
        has: Mapping[str, bool],
        geometries: Sequence[str] = (),
    ) -> "Scope":
        """The scope of a study.

        Args:
            personas: those that are compared, without the anchor.
            clusters: fine cluster of every persona that has one.
            prompts: those whose divergences are measured; none where they come from a file.
            cutoffs: measured beside the whole response.
            left_out: personas that are left out one at a time.
            permutations: of each test.
            has: the rest of `NEEDS`, by name.
            geometries: compared beside the main one.
        """
        n = len(personas)
        strata = Permutations.within([clusters.get(name) for name in personas], permutations, 0)
        members = [clusters[name] for name in personas if name in clusters]
        found = {
            **has,
            "prompts": bool(prompts),
            "clusters": bool(members),
            "strata": bool(strata.groups),
            "covariates": has["covariates"] or bool(members),
        }
        shorter = [str(cutoff) for cutoff in cutoffs]
        return cls(
            names={
                "{persona}": personas,
                "{prompt}": prompts,
                "{left_out}": left_out,
                "{geometry}": geometries,
                "{shorter}": shorter,
                "{cutoff}": [*shorter, "full"],
            },
            has=frozenset(need for need, there in found.items() if there),
            tests={
                "free": Permutations.free(n, permutations, 0),
                "strata": strata,
                "anchor": Permutations.free(n + 1, permutations, 0),
            },
        )


def catalogue(scope: Scope) -> dict[str, Statistic]:
    """Every statistic that a study has or might have, by the name that a gate gives it.

    The lower end of a p-value's range is the smallest that its test can give.
    """
    return {
        name: replace(one, low=scope.tests[one.test].smallest_p) if one.test else one
        for name, one in _named(STATISTICS, scope)
    }


def lacking(scope: Scope) -> dict[str, str]:
    """What a study lacks for its null statistics, in words, by their names.

    Among the names are those of wholes, of which every part lacks it.
    """
    needs: dict[str, frozenset[str]] = {}
    for name, one in catalogue(scope).items():
        for whole in accumulate(name.split("."), "{}.{}".format):
            needs[whole] = needs.get(whole, one.needs) & one.needs
    return {name: in_words(of - scope.has) for name, of in needs.items() if of - scope.has}


def in_words(needs: Collection[str]) -> str:
    """Some of `NEEDS` in a sentence."""
    return f"It needs {' and '.join(NEEDS[need] for need in sorted(needs))}."


def _named(tree: Tree, scope: Scope, prefix: str = "") -> Iterator[tuple[str, Statistic]]:
    for key, one in tree.items():
        for name in scope.names[key] if key.startswith("{") else [key]:
            if isinstance(one, Statistic):
                yield prefix + name, one
            else:
                yield from _named(one, scope, f"{prefix}{name}.")
