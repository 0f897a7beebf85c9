"""RDMs that a study takes from files: its personas, matched by name."""

from collections.abc import Sequence
from pathlib import Path

from persona_geometry.errors import InputError
from persona_geometry.rdms.files import read_cosine_rdms, read_rdm_table
from persona_geometry.rdms.rdm import Rdm


def imported_cosine_rdms(
    path: str | Path, layers: Sequence[int], personas: Sequence[str], anchor: str | None
) -> dict[int, Rdm]:
    """Cosine distances of a study's personas; the anchor may be missing.

    Args:
        path: a JSON of similarities by layer, or a table of distances of one layer.
        layers: the study's layers, which must be there.
        personas: the study's.
        anchor: its anchor.

    Raises:
        InputError: a layer or a persona that is not there, or no RDM.
    """
    if not str(path).endswith(".json"):
        if len(layers) > 1:
            raise InputError(
                f"{path} holds one cosine RDM, but geometry.layers names {len(layers)} layers; "
                f"name the one it belongs to, or give a JSON of layers."
            )
        return {layers[0]: _chosen(read_rdm_table(path, "cosine"), personas, anchor, path)}
    found = read_cosine_rdms(path)
    for layer in layers:
        if layer not in found:
            raise InputError(f"{path} has no layer {layer}; correct geometry.layers.")
    return {layer: _chosen(rdm, personas, anchor, path) for layer, rdm in found.items()}


def imported_divergence_rdm(
    path: str | Path, estimator: str, personas: Sequence[str], anchor: str | None
) -> Rdm:
    """Divergences of a study's personas from a table; the anchor may be missing.

    Raises:
        InputError: a persona that is not there, or no RDM of such divergences.
    """
    return _chosen(read_rdm_table(path, estimator), personas, anchor, path)


def _chosen(rdm: Rdm, personas: Sequence[str], anchor: str | None, path: str | Path) -> Rdm:
    return rdm.select([p for p in personas if p != anchor or p in rdm.names], path)
