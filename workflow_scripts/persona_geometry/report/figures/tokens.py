"""Where in a response personas part."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.style import (
    DARK,
    HALO,
    NEUTRAL,
    PALETTE,
    Drawing,
    empty_figure,
    in_house_style,
    legend_below,
    refused,
)
from persona_geometry.report.text import count, number
from persona_geometry.rsa import residual

GROUPS = {"within": ("Within a cluster", PALETTE[4]), "others": ("All other pairs", PALETTE[0])}
SPAN = ("mean", "low", "high")
COLUMNS = [
    *("token", "span", "prompts"),
    *(name + what for name in GROUPS for what in ("", *(f"_{what}" for what in SPAN))),
]
FROM_A_FILE = "The divergences are from a file, which has none of single tokens."


def same_cluster(personas: Sequence[str], clusters: Mapping[str, str]) -> np.ndarray:
    """(P,) whether the two personas of each pair share a cluster."""
    same: np.ndarray = (
        residual.same(personas, residual.fine_clusters(personas, clusters)).vector == 1
    )
    return same


def prompt_profiles(
    pairs: Iterable[np.ndarray], same_cluster: np.ndarray
) -> dict[str, list[np.ndarray]]:
    """Mean divergence at every token of each prompt's response, by group of pairs.

    Args:
        pairs: of each prompt, (P, T) nats; read one after the other.
        same_cluster: (P,) whether a pair's personas share a cluster.

    Returns:
        "within" and "others" to (T,) means, one a prompt; a group without pairs has none.
    """
    groups = {"within": same_cluster, "others": ~same_cluster}
    found: dict[str, list[np.ndarray]] = {name: [] for name in groups}
    for values in pairs:
        for name, of in groups.items():
            if of.any():
                found[name].append(values[of].mean(axis=0, dtype=np.float64))
    return found


@in_house_style
def token_profile(shown: Shown, profiles: Mapping[str, list[np.ndarray]]) -> Drawing:
    """Mean divergence by position in the response, of pairs within clusters and of all others.

    Args:
        shown: the study.
        profiles: of `prompt_profiles`; empty lists where no token was measured.
    """
    if not any(profiles.values()):
        return refused(shown.width, COLUMNS, FROM_A_FILE)
    stacked = {name: _stacked(rows) for name, rows in profiles.items() if rows}
    most = max(rows.shape[1] for rows in stacked.values())
    edges = _doubling(most)
    span = np.searchsorted(edges, np.arange(1, most + 1), side="right") - 1
    table = pd.DataFrame({"token": np.arange(1, most + 1), "span": edges[span]})
    table["prompts"] = np.isfinite(next(iter(stacked.values()))).sum(axis=0)
    figure = empty_figure(shown.width, 2.5)
    axis = figure.subplots()
    for name, (label, color) in GROUPS.items():
        if name not in stacked:
            table[[name, *(f"{name}_{what}" for what in SPAN)]] = np.nan
            continue
        with warnings.catch_warnings():  # no response may reach the last span
            warnings.simplefilter("ignore", RuntimeWarning)
            of_prompts = np.stack(
                [np.nanmean(stacked[name][:, span == k], axis=1) for k in range(len(edges) - 1)], 1
            )
        means = np.nanmean(of_prompts, axis=0)
        low, high = np.nanquantile(of_prompts, (0.25, 0.75), axis=0)
        table[name] = np.nanmean(stacked[name], axis=0)
        for what, values in zip(SPAN, (means, low, high), strict=True):
            table[f"{name}_{what}"] = values[span]
        (single,) = axis.plot(table["token"], table[name], color=color, alpha=0.45)
        single.set(lw=0.5, drawstyle="steps-post")
        axis.stairs(high, edges, baseline=low, fill=True, color=color, alpha=0.15, lw=0)
        axis.stairs(means, edges, color=color, lw=1.6, baseline=None, label=label)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_xlim(0.9, most + 1)
    axis.set_ylim(0, None)
    for cutoff in shown.compared.divergence:
        if cutoff != "full" and int(cutoff) < most:
            axis.axvline(int(cutoff) + 0.5, color=DARK, lw=0.6, ls=(0, (2, 2)), zorder=0)
            axis.annotate(
                f"cutoff {cutoff}", (int(cutoff) + 0.5, 1), (2, -2), va="top", fontsize=6,
                xycoords=("data", "axes fraction"), textcoords="offset points", color=DARK,
                path_effects=HALO,
            )  # fmt: skip
    axis.set_xlabel("Token of the response")
    axis.set_ylabel(f"Mean {shown.measure}")
    entries = axis.get_legend_handles_labels()[0]
    legend_below(
        figure, [*entries, Patch(color=NEUTRAL, alpha=0.4, label="middle half of prompts")]
    )
    caption = (
        f"{shown.whom}. Mean {shown.name} at each token of the shared responses, over pairs and "
        f"over {count(len(next(iter(stacked.values()))), 'prompt')}: thick lines are means over "
        f"spans that double, bands the middle half of the prompts, thin lines single tokens. "
        f"{_ends(table, stacked)} Later tokens come from fewer prompts where responses end early."
    )
    return Drawing(figure, table, caption)


def _ends(table: pd.DataFrame, stacked: Mapping[str, Any]) -> str:
    name = "others" if "others" in stacked else "within"
    first, last = (float(table[f"{name}_mean"].iloc[place]) for place in (0, -1))
    return (
        f"{GROUPS[name][0]}: {number(first)} at the first token, {number(last)} in the last span."
    )


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    """(Q, T) values, NaN where a response has ended."""
    longest = max(map(len, rows))
    return np.stack([np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in rows])


def _doubling(most: int) -> np.ndarray:
    """Edges of spans that double: tokens 1, 2 to 3, 4 to 7 and so on up to the last one."""
    return np.append(2 ** np.arange(int(np.log2(most)) + 1), most + 1)
