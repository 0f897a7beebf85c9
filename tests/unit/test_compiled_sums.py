"""The compiled loop over a large vocabulary's words."""

import numpy as np
import torch

from persona_geometry.divergence import blocked
from persona_geometry.divergence.compiled import add_mixtures


def test_a_word_is_as_near_as_float32_is_however_small_or_large_its_ratio() -> None:
    near = np.geomspace(1e-6, 0.4, 100)
    for t in np.concatenate([-1 + near[:-1], -near, [0.0], near, 1 / near]).astype(np.float32):
        sums = np.zeros(1)
        halves = np.array([[t], [0]], np.float32)
        add_mixtures(halves, np.ones(1, np.float32), np.array([0]), np.array([1]), sums)
        exact = (1 + float(t)) * np.log1p(float(t)) - float(t)
        assert abs(sums[0] - exact) <= 6e-7 * exact


def test_it_takes_over_from_8192_words_on() -> None:
    rows = torch.tensor([0])
    assert [blocked._sums_of_pairs(n, rows, rows)[0] for n in (8191, 8192)] == [512, 4096]
