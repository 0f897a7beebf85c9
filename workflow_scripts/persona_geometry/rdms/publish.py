"""From the store to one prompt's divergence matrices, for the personas of one study."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.store.store import DIVERGENCES, Response, Store


def cutoff_labels(cutoffs: Sequence[int]) -> list[str]:
    """Names of the cutoffs, ascending, with "full" last."""
    return [str(cutoff) for cutoff in sorted(cutoffs)] + ["full"]


def prompt_divergences(
    store: Store, item: str, response: Response, cells: Sequence[str], cutoffs: Sequence[int]
) -> dict[str, Any]:
    """Divergence matrices of one prompt, averaged over the first tokens of its response.

    Args:
        store: the store.
        item: the item's key.
        response: the shared response.
        cells: cell keys, one a persona, N of them.
        cutoffs: numbers of leading response tokens; the whole response is always added.

    Returns:
        "cutoffs": the C labels; "n_tokens": length of the scored response; "js": (C, N, N)
        Jensen-Shannon divergence, symmetric, in [0, ln 2]; "kl": (C, N, N), kl[c, i, j] is
        KL(i‖j); "half_jeffreys": (C, N, N) ½(KL + KL). All in nats, float64.

    Raises:
        InputError: a pair is not in the store, or was computed on another response.
    """
    index = {cell: i for i, cell in enumerate(cells)}
    if len(index) < len(cells):
        raise InputError(
            "Two personas render to the same prompt; their distance is not defined, so change "
            "or remove one of them."
        )
    labels = cutoff_labels(cutoffs)
    shape = (len(labels), len(cells), len(cells))
    js, kl = np.full(shape, np.nan), np.full(shape, np.nan)
    n_tokens = 0
    for path in store.pair_blocks(item):
        block = store.read_pairs(path)
        if block.response_sha256 != response.sha256:
            raise InputError(
                f"{path} was computed on another response than the one stored; run 'python "
                f"workflow_scripts/manage_store.py verify --repair' and then the workflow again."
            )
        n_tokens = block.js.shape[1]
        places = np.array([index.get(cell, -1) for cell in block.cells])[block.pairs]
        row = np.flatnonzero((places >= 0).all(1))
        if not row.size:
            continue
        first, second = places[row].T
        means = {name: _prefix_means(getattr(block, name)[row], labels) for name in DIVERGENCES}
        js[:, first, second] = js[:, second, first] = means["js"]
        kl[:, first, second] = means["kl_pq"]
        kl[:, second, first] = means["kl_qp"]
    diagonal = np.arange(len(cells))
    js[:, diagonal, diagonal] = kl[:, diagonal, diagonal] = 0.0
    if np.isnan(js).any():
        raise InputError(
            f"The store lacks {int(np.isnan(js[0]).sum()) // 2} pairs of item {item} although a "
            f"receipt certifies them; run 'python workflow_scripts/manage_store.py verify "
            f"--repair' and then the workflow again."
        )
    return {
        "cutoffs": labels,
        "n_tokens": n_tokens,
        "js": js,
        "kl": kl,
        "half_jeffreys": (kl + kl.transpose(0, 2, 1)) / 2,
    }


def _prefix_means(per_token: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(C, n) means of (n, T) values over the first tokens."""
    values = per_token.astype(np.float64)
    return np.stack(
        [values.mean(1) if c == "full" else values[:, : int(c)].mean(1) for c in labels]
    )
