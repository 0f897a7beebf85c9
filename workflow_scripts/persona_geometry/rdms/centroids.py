"""Cosine RDMs: distances between the centroids of personas' hidden states."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.rdms.files import LayerVectors, PromptDivergences
from persona_geometry.rdms.other_centroids import TOKENS, components_removed, mean_centered
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import complement
from persona_geometry.store.packing import as_float32
from persona_geometry.store.store import Store


def persona_vectors(
    store: Store, items: Iterable[tuple[str, Sequence[str]]], token: str
) -> Iterable[np.ndarray]:
    """Yield each prompt's (N, L, d) float32 layer vectors from the store.

    Args:
        store: the store.
        items: (item key, N cell keys) a prompt.
        token: "last_prompt_token" or "response_mean".
    """
    for item, cells in items:
        read = [store.read_cell(item, cell, with_states=False) for cell in cells]
        yield np.stack([as_float32(getattr(cell, token)) for cell in read])


def centroids_of_prompts(
    store: Store, prompts: dict[str, PromptDivergences], layers: Sequence[int], token: str
) -> tuple[np.ndarray, LayerVectors]:
    """Mean vectors over prompts at every layer, and the single ones of some layers.

    Args:
        store: the store.
        prompts: each prompt's name, and what was published of it.
        layers: layers whose single vectors are wanted.
        token: "last_prompt_token" or "response_mean".

    Returns:
        (L, N, d) float64 centroids, and the vectors.
    """
    items = [(prompt.item, prompt.cells) for prompt in prompts.values()]
    names = next(iter(prompts.values())).personas
    total: np.ndarray | float = 0.0
    of_layers = np.empty(0)
    for place, vectors in enumerate(persona_vectors(store, items, token)):
        total = total + vectors.astype(np.float64)
        if not place:
            shape = len(layers), len(items), len(names), vectors.shape[-1]
            of_layers = np.empty(shape, vectors.dtype)
        of_layers[:, place] = vectors[:, list(layers)].transpose(1, 0, 2)
    chosen = LayerVectors(names, list(prompts), dict(zip(layers, of_layers, strict=True)))
    return (np.asarray(total) / len(prompts)).transpose(1, 0, 2), chosen


def other_centroids(
    store: Store,
    prompts: dict[str, PromptDivergences],
    centroids: np.ndarray,
    names: Sequence[str],
    components: int,
    anchor: str | None,
) -> dict[str, np.ndarray]:
    """Centroids of other geometries: `mean_centered`, `components_removed`, or another token.

    Args:
        store, prompts: as in `centroids_of_prompts`.
        centroids: (L, N, d) of the main geometry.
        names: of the other geometries.
        components: how many `components_removed` takes out.
        anchor: persona that mean and components leave out.

    Returns:
        Name to (L, N, d) float64 centroids.

    Raises:
        InputError: nothing but rounding is left of a centroid.
    """
    personas = next(iter(prompts.values())).personas
    of = [place for place, persona in enumerate(personas) if persona != anchor]
    make: dict[str, Callable[[], np.ndarray]] = {
        "mean_centered": lambda: mean_centered(centroids, of),
        "components_removed": lambda: components_removed(centroids, of, components),
    }
    for token in TOKENS:
        make[token] = partial(lambda one: centroids_of_prompts(store, prompts, [], one)[0], token)
    return {name: make[name]() for name in names}


def cosine_rdms(names: Sequence[str], centroids: np.ndarray) -> dict[int, Rdm]:
    """RDMs of 1 - cosine, in [0, 2], of (L, N, d) centroids, one a layer.

    Raises:
        InputError: a centroid of length zero.
    """
    norms = np.linalg.norm(centroids, axis=-1, keepdims=True)
    if not np.all(norms > 0):
        raise InputError("A centroid has length zero, so its cosine is not defined.")
    unit = centroids / norms
    cosines = unit @ unit.transpose(0, 2, 1)
    cosines = np.clip((cosines + cosines.transpose(0, 2, 1)) / 2, -1.0, 1.0)
    distances = complement(cosines)
    return {layer: Rdm.from_square(names, matrix) for layer, matrix in enumerate(distances)}
