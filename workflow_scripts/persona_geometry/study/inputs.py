"""The files that a config names beside its tables, opened and checked before anything is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.model.tensors import few
from persona_geometry.rdms.files import check_sha256, read_rdm_table
from persona_geometry.rdms.imported import imported_cosine_rdms, imported_divergence_rdm
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.outcome_table import read_outcomes
from persona_geometry.text_files import alike

if TYPE_CHECKING:
    from persona_geometry.study.config import Study

INDICATORS = ("same_fine_cluster", "same_macro_cluster")


def check_inputs(study: "Study") -> tuple[bool, list[str]]:
    """Read the RDMs, covariates and outcomes of a study as its jobs will.

    Returns:
        Whether the anchor is among the personas of both geometries; and a sentence for each
        covariate that orders the pairs as an imported RDM does.

    Raises:
        InputError: a file that is not what it should be.
    """
    rdms = _imported(study)
    anchored = study.anchor is not None and all(study.anchor in r.names for r in rdms.values())
    names = [p for p in study.persona_names if anchored or p != study.anchor]
    remarks = _check_covariates(study, names, rdms)
    if study.alignment.outcomes is not None:
        _check_outcomes(study, study.alignment.outcomes)
    return anchored, remarks


def _imported(study: "Study") -> dict[str, Rdm]:
    """The RDMs that come from files, by the words that name each in a message."""
    for file in study.rdm.values():
        check_sha256(file.file, file.sha256)
    rdms: dict[str, Rdm] = {}
    if cosine := study.rdm.get("cosine"):
        found = imported_cosine_rdms(cosine.file, study.layers, study.persona_names, study.anchor)
        of_one = len(found) == 1
        rdms |= {cosine.file + ("" if of_one else f", layer_{n}"): r for n, r in found.items()}
    if js := study.rdm.get("js"):
        rdms[js.file] = imported_divergence_rdm(
            js.file, study.divergence_kind, study.persona_names, study.anchor
        )
    for source, rdm in rdms.items():
        if _is_constant(rdm.without(study.anchor or "")):
            raise InputError(
                f"{source}: all personas of the study are equally far apart, so that it has no "
                f"correlation with anything; give an RDM whose distances differ."
            )
    return rdms


def _check_covariates(study: "Study", names: list[str], rdms: Mapping[str, Rdm]) -> list[str]:
    anchor, remarks = study.anchor or "", []
    path_of_stem = {name: f"the indicator of {name[5:].replace('_', ' ')}s" for name in INDICATORS}
    for path in study.alignment.covariates:
        stem = alike(Path(path).stem)
        if stem in path_of_stem:
            raise InputError(
                f"{study.source}: alignment.covariates has {path}, which would be named "
                f"'{Path(path).stem}' as is {path_of_stem[stem]}; rename or remove one of them."
            )
        path_of_stem[stem] = path
        rdm = read_rdm_table(path).select(names, path).without(anchor)
        if _is_constant(rdm):
            raise InputError(
                f"{path}: all personas of the study are equally far apart, so there is nothing "
                f"that it could explain; correct it, or remove it from alignment.covariates."
            )
        same = [s for s, other in rdms.items() if np.array_equal(rdm.ranks, _ranks(other, rdm))]
        if same:
            remarks.append(
                f"{path} orders the pairs of personas as {few(same)} does, so that nothing of that "
                f"RDM is left when it is held constant."
            )
    return remarks


def _ranks(rdm: Rdm, like: Rdm) -> np.ndarray:
    """Ranks of the pairs that another RDM has, in its order."""
    return rdm.select(like.names).ranks


def _is_constant(rdm: Rdm) -> bool:
    return bool(np.ptp(rdm.vector) == 0)


def _check_outcomes(study: "Study", path: str) -> None:
    compared = set(study.persona_names) - {study.anchor}
    values = [value for _, _, value in read_outcomes(path, compared)]
    if len(values) < 3 or len(set(values)) == 1:
        raise InputError(
            f"{path}: no correlation with {len(values)} outcomes of {len(set(values))} different "
            f"values is defined; list at least three that differ, or remove alignment.outcomes."
        )
