"""Other geometries of the same personas, each compared with the divergences beside the main one."""

from collections.abc import Mapping
from typing import Any

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.equivalence import equivalence
from persona_geometry.rsa.intervals import t_interval
from persona_geometry.rsa.jackknife import Jackknife, intervals, jackknife, spreads
from persona_geometry.rsa.permutation import Permutations, mantel


def compare_geometries(
    others: Mapping[str, Mapping[int, Rdm]],
    divergence: Rdm,
    main: Mapping[int, Jackknife],
    permutations: Permutations,
    smallest_effect: float | None,
) -> dict[str, dict[int, dict[str, Any]]]:
    """Agreement of every other geometry with the divergences, at every known layer.

    Args:
        others: name to layer to cosine distances.
        divergence: of the same personas.
        main: the main geometry's correlations without each persona.
        permutations: of the personas.
        smallest_effect: difference that would matter, or None.

    Returns:
        Name to layer to `spearman`, `mantel_p`, `family_wise_p` (over the layers of this
        geometry), `sd` of its distances, `interval` over personas, and `difference`: `value`, ρ
        less that of the main geometry, with its interval over personas (the same persona left out
        of both) and its `equivalence`.
    """
    return {
        name: _of_layers(rdms, divergence, main, permutations, smallest_effect)
        for name, rdms in others.items()
    }


def _of_layers(
    rdms: Mapping[int, Rdm],
    divergence: Rdm,
    main: Mapping[int, Jackknife],
    permutations: Permutations,
    smallest_effect: float | None,
) -> dict[int, dict[str, Any]]:
    null = mantel(list(rdms.values()), divergence, permutations)
    p, family_wise = null.p_values(), null.family_wise_p_values()
    found = {}
    for k, (layer, rdm) in enumerate(rdms.items()):
        own = jackknife(rdm, divergence)
        found[layer] = {
            "spearman": null.observed[k],
            "mantel_p": p[k],
            "family_wise_p": family_wise[k],
            "sd": rdm.vector.std(),
            "interval": intervals(own)["personas"],
            "difference": _difference(own, main[layer], smallest_effect),
        }
    return found


def _difference(own: Jackknife, main: Jackknife, smallest: float | None) -> dict[str, Any]:
    value = own.rho - main.rho
    spread = spreads({"personas": own.without["personas"] - main.without["personas"]})["personas"]
    interval = t_interval(value, spread, 2.0)
    return {
        "value": value,
        **interval,
        "equivalence": equivalence(value, interval, smallest) if smallest else None,
    }
