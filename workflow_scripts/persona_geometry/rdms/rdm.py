"""Representational dissimilarity matrices (RDMs): named conditions and their distances.

Names and distances travel in one immutable object, so that rows are matched by name and never by
position (the design of rsatoolbox's RDMs and scikit-bio's DistanceMatrix). Ranks are taken once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.rdms.triangle import doubled_ranks, square, vectorize

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-5  # how far from symmetric, zero or its range a value may be by rounding
LARGEST = {
    "cosine": (2.0, "2, the largest cosine distance"),
    "js": (math.log(2.0), "ln 2, the largest Jensen-Shannon divergence in nats"),
}
"""Kinds of distances with an upper bound."""


@dataclass(frozen=True, eq=False)
class Rdm:
    """Distances between every two of N named conditions.

    Attributes:
        names: the N names, unique.
        vector: (N(N-1)/2,) float64 distances, row by row above the diagonal, finite. Read-only.

    Raises:
        InputError: a name twice, or a distance that is not a finite number.
    """

    names: tuple[str, ...]
    vector: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _unique(self.names))
        object.__setattr__(self, "vector", _frozen(self.vector, (_n_pairs(self.names),)))
        _refuse_nan(self.names, self.vector)

    @classmethod
    def from_square(cls, names: Sequence[str], matrix: np.ndarray) -> "Rdm":
        """The RDM of a symmetric (N, N) matrix, whose upper triangle is taken."""
        return cls(tuple(names), vectorize(np.asarray(matrix, dtype=np.float64)))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def ranks(self) -> np.ndarray:
        """(N(N-1)/2,) doubled mid-ranks of the distances, whole numbers; the nearest pair has 2."""
        return _frozen(doubled_ranks(self.vector), self.vector.shape)

    @cached_property
    def square(self) -> np.ndarray:
        """(N, N) distances, symmetric with a zero diagonal. Read-only."""
        return _frozen(square(self.vector, len(self)), (len(self), len(self)))

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """The two names of each distance, in the order of `vector`."""
        rows, columns = np.triu_indices(len(self), 1)
        return ((self.names[i], self.names[j]) for i, j in zip(rows, columns, strict=True))

    def select(self, names: Sequence[str], source: object = "The RDM") -> "Rdm":
        """The RDM of some of the conditions, in the given order.

        Args:
            names: of the conditions.
            source: what the RDM was read from, for the message.

        Raises:
            InputError: a name is not among the RDM's.
        """
        if tuple(names) == self.names:
            return self
        order = places(self.names, names, source)
        return Rdm.from_square(names, self.square[np.ix_(order, order)])

    def without(self, name: str) -> "Rdm":
        """The RDM of all conditions but one, which need not be there."""
        return self.select([other for other in self.names if other != name])

    def of(self, vector: np.ndarray) -> "Rdm":
        """Other values of the same pairs."""
        return Rdm(self.names, vector)

    def to_frame(self) -> "pd.DataFrame":
        """The square matrix as a table with the names on both sides."""
        import pandas as pd

        return pd.DataFrame(self.square, index=list(self.names), columns=list(self.names))


@dataclass(frozen=True, eq=False)
class RdmStack:
    """RDMs of the same conditions, one a label: here the divergences of each prompt.

    Attributes:
        names: the N names.
        labels: the Q labels, unique.
        vectors: (Q, N(N-1)/2) float64 distances, finite. Read-only.

    Raises:
        InputError: a name or label twice, or a distance that is not a finite number.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    vectors: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _unique(self.names))
        object.__setattr__(self, "labels", _unique(self.labels))
        shape = len(self.labels), _n_pairs(self.names)
        object.__setattr__(self, "vectors", _frozen(self.vectors, shape))
        for vector in self.vectors:
            _refuse_nan(self.names, vector)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def rdms(self) -> tuple[Rdm, ...]:
        """The RDM of each label."""
        return tuple(Rdm(self.names, vector) for vector in self.vectors)

    def __iter__(self) -> Iterator[Rdm]:
        return iter(self.rdms)

    def select(self, names: Sequence[str], source: object = "The RDMs") -> "RdmStack":
        """The stack of some of the conditions, in the given order.

        Raises:
            InputError: a name is not among the stack's.
        """
        if tuple(names) == self.names:
            return self
        order = places(self.names, names, source)
        chosen = square(self.vectors, len(self.names))[:, order][:, :, order]
        return RdmStack(tuple(names), self.labels, vectorize(chosen))

    def mean(self) -> Rdm:
        """The RDM averaged over labels."""
        return Rdm(self.names, self.vectors.mean(0))

    def means_without_each(self) -> np.ndarray:
        """(Q, N(N-1)/2) distances averaged over all labels but one; of two labels or more."""
        rest: np.ndarray = (self.vectors.sum(axis=0) - self.vectors) / (len(self) - 1)
        return rest


def places(held: Sequence[str], wanted: Sequence[str], source: object) -> list[int]:
    """Where each wanted name stands among the held ones.

    Raises:
        InputError: a wanted name is not there.
    """
    place = {name: i for i, name in enumerate(held)}
    for name in wanted:
        if name not in place:
            raise InputError(
                f"{source} has no persona '{name}'; add it there, or remove it from the persona "
                f"table."
            )
    return [place[name] for name in wanted]


def checked(
    names: Sequence[str],
    matrix: np.ndarray,
    source: object,
    *,
    kind: str | None = None,
    remedy: str = "correct the file",
) -> Rdm:
    """The RDM of a square matrix of distances that somebody else made.

    What differs from an RDM by no more than rounding is mended: the two triangles are averaged,
    and what is just outside the range is clipped.

    Args:
        names: the N names of its rows and columns.
        matrix: (N, N) distances.
        source: what it was read from, for messages.
        kind: of the distances, where it bounds them: a key of `LARGEST`.
        remedy: what to do about a matrix that is no RDM, for messages.

    Raises:
        InputError: not one row and column a name, not finite, asymmetric, a diagonal that is not
            zero, negative, or above the bound.
    """
    n = len(names)
    if matrix.shape != (n, n):
        raise InputError(
            f"{source}: the matrix is {' × '.join(map(str, matrix.shape))} for {n} names; write "
            f"one row and one column a name."
        )

    def refuse(where: np.ndarray, what: str, remedy: str = remedy) -> None:
        if where.any():
            i, j = np.argwhere(where)[0]
            raise InputError(
                f"{source}: {what} at row '{names[i]}', column '{names[j]}' ({matrix[i, j]:g}); "
                f"{remedy}."
            )

    refuse(~np.isfinite(matrix), "a value is not a number")
    refuse(np.abs(matrix - matrix.T) > TOLERANCE, "the matrix is not symmetric")
    refuse(np.abs(np.diag(np.diag(matrix))) > TOLERANCE, "the diagonal is not zero")
    refuse(matrix < -TOLERANCE, "a distance is negative")
    largest, bound = LARGEST.get(kind or "", (None, ""))
    if largest is not None:
        refuse(
            matrix > largest + TOLERANCE,
            f"a value exceeds {bound},",
            f"{remedy}, or give rdm.js.name and rdm.js.unit if it is another divergence"
            if kind == "js"
            else remedy,
        )
    return Rdm.from_square(names, np.clip((matrix + matrix.T) / 2.0, 0.0, largest))


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise InputError(f"'{twice}' is named more than once; names must be unique.")
    return tuple(map(str, names))


def _n_pairs(names: Sequence[str]) -> int:
    return len(names) * (len(names) - 1) // 2


def _refuse_nan(names: tuple[str, ...], vector: np.ndarray) -> None:
    """Refuse a distance that is not finite, which would reach ranks and least squares."""
    if not np.isfinite(vector).all():
        first, second = np.triu_indices(len(names), 1)
        k = int(np.argmin(np.isfinite(vector)))
        raise InputError(
            f"The distance of '{names[first[k]]}' and '{names[second[k]]}' is not a finite number "
            f"({vector[k]}); compute it again, or leave one of them out."
        )


def _frozen(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A float64 copy that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"shape {array.shape} where the names ask for {shape}")
    array.setflags(write=False)
    return array
