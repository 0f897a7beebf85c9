"""RDMs of tests: matrices with names p0, p1, … and prompts q0, q1, …"""

from collections.abc import Sequence

import numpy as np

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import vectorize


def named(matrix: np.ndarray, names: Sequence[str] | None = None) -> Rdm:
    """The RDM of an (N, N) matrix."""
    return Rdm.from_square(names or [f"p{i}" for i in range(len(matrix))], matrix)


def stacked(matrices: np.ndarray, names: Sequence[str] | None = None) -> RdmStack:
    """The RDMs of (Q, N, N) matrices."""
    names = names or [f"p{i}" for i in range(matrices.shape[1])]
    labels = [f"q{k}" for k in range(len(matrices))]
    return RdmStack(tuple(names), tuple(labels), vectorize(matrices))
