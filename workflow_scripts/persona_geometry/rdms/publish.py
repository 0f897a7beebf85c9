"""From the store to what is published of prompts: divergence matrices and top tokens."""

from collections.abc import Mapping, Sequence

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.published import PublishedTopTokens
from persona_geometry.rdms.files import PromptDivergences
from persona_geometry.store.store import (
    DIVERGENCES,
    REPAIR,
    Response,
    Store,
    on_another_response,
)


def cutoff_labels(cutoffs: Sequence[int]) -> list[str]:
    """Names of the cutoffs, ascending, with "full" last."""
    return [str(cutoff) for cutoff in sorted(cutoffs)] + ["full"]


def prompt_divergences(
    store: Store,
    item: str,
    response: Response,
    cells_of: Mapping[str, str],
    cutoffs: Sequence[int],
) -> PromptDivergences:
    """Divergence matrices of one prompt, averaged over the first tokens of its response.

    Args:
        store: the store.
        item: the item's key.
        response: the shared response.
        cells_of: persona to cell key, N of them.
        cutoffs: numbers of leading response tokens; the whole response is always added.

    Returns:
        Averages in float64.

    Raises:
        InputError: a pair is not in the store, or was computed on another response.
    """
    cells = list(cells_of.values())
    index = {cell: i for i, cell in enumerate(cells)}
    labels = cutoff_labels(cutoffs)
    shape = (len(labels), len(cells), len(cells))
    js, kl = np.full(shape, np.nan), np.full(shape, np.nan)
    n_tokens = 0
    for path in store.pair_blocks(item):
        block = store.read_pairs(path)
        if block.response_sha256 != response.sha256:
            raise on_another_response(path)
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
            f"receipt certifies them; {REPAIR}"
        )
    return PromptDivergences(
        personas=list(cells_of),
        cells=cells,
        item=item,
        cutoffs=labels,
        n_tokens=n_tokens,
        js=js,
        kl=kl,
        half_jeffreys=(kl + kl.transpose(0, 2, 1)) / 2,
    )


def study_top_tokens(
    store: Store, prompts: Mapping[str, tuple[str, str, Mapping[str, str]]]
) -> PublishedTopTokens:
    """The likeliest next tokens of a study's personas on all of its prompts.

    Args:
        store: the store.
        prompts: name to the item's key, the response's, and persona to the key of its top tokens.

    Raises:
        InputError: some are not in the store, or were computed on another response.
    """
    found = []
    for item, response, keys in prompts.values():
        expected = store.need_response(response).sha256
        of_item = [store.read_top_tokens(item, key) for key in keys.values()]
        for key, top in zip(keys.values(), of_item, strict=True):
            if top.response_sha256 != expected:
                raise on_another_response(store.top_tokens_path(item, key))
        found.append(of_item)
    return PublishedTopTokens(
        prompts=list(prompts),
        personas=list(next(iter(prompts.values()))[2]),
        lengths=np.array([len(of_item[0].ids) for of_item in found]),
        **{
            name: np.concatenate([np.stack([getattr(t, name) for t in of]) for of in found], 1)
            for name in ("ids", "log_probabilities")
        },
    )


def _prefix_means(per_token: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(C, n) means of (n, T) values over the first tokens."""
    values = per_token.astype(np.float64)
    return np.stack(
        [values.mean(1) if c == "full" else values[:, : int(c)].mean(1) for c in labels]
    )
