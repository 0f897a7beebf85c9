"""The sums over words of `blocked`, as one compiled loop a pair.

With u = 1 + t = 2^e (1 + r) and r in [-1/3, 1/3), so that r = t 2^-e + (2^-e - 1),

    (1 + t) log1p(t) - t = u e ln 2 + 2^e r^2 g(r) + (1 - 2^e)

where r^2 g(r) is (1 + r) log1p(r) - r and g a polynomial of degree 8 (weighted minimax fit,
relative error 5e-9; the rounding of float32 is 6e-8). Nothing cancels where t is small, which is
where e is 0. The term t that is left out adds up to nothing over the words.
"""

import numba
import numpy as np

F = np.float32
ONE, TWO_THIRDS, EXPONENT = np.int32(0x3F800000), np.int32(0x3F2AAAAB), np.int32(-0x800000)
MANTISSA_BITS = np.int32(23)
BLOCK = 1024  # words of two rows, their weights and exponents: the nearest cache


@numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
def _total(terms: np.ndarray) -> np.float32:
    total = F(0)
    for w in range(len(terms)):
        total += terms[w]
    return total


# Any other order of these operations would lose digits.
@numba.njit(fastmath={"contract", "nsz"}, nogil=True)  # type: ignore[untyped-decorator]
def add_mixtures(
    halves: np.ndarray, centre: np.ndarray, firsts: np.ndarray, seconds: np.ndarray,
    sums: np.ndarray,
) -> None:  # fmt: skip
    """Add to sums (n,) float64 the sum over words of c ((1 + t) log1p(t) - t).

    t = halves[i] + halves[j] is above -1 for rows i, j of `firsts` and `seconds` (n,); halves
    (N, V) and the weights c, `centre` (V,), are float32.
    """
    terms = np.empty(BLOCK, np.float32)
    bits = terms.view(np.int32)
    powers = np.empty(BLOCK, np.float32)
    power_bits = powers.view(np.int32)
    for start in range(0, halves.shape[1], BLOCK):
        c = centre[start : start + BLOCK]
        n_words = len(c)
        for pair in range(len(firsts)):
            a = halves[firsts[pair], start : start + BLOCK]
            b = halves[seconds[pair], start : start + BLOCK]
            for w in range(n_words):
                terms[w] = a[w] + b[w] + F(1)
            for w in range(n_words):
                e = (bits[w] - TWO_THIRDS) & EXPONENT
                power_bits[w] = ONE + e
                bits[w] = ONE - e
            for w in range(n_words):
                t, power, inverse = a[w] + b[w], powers[w], terms[w]
                e = F((power_bits[w] - ONE) >> MANTISSA_BITS)
                r = t * inverse + (inverse - F(1))
                g = F(0.0135899279) * r - F(0.0164673515)
                g = g * r + F(0.0175980143)
                g = g * r - F(0.0235855803)
                g = g * r + F(0.0333442204)
                g = g * r - F(0.0500070602)
                g = g * r + F(0.0833331719)
                g = g * r - F(0.166666612)
                g = g * r + F(0.5)
                log = e * F(0.693147181)
                terms[w] = c[w] * ((t + F(1)) * log + (power * (r * r * g) + (F(1) - power)))
            sums[pair] += _total(terms[:n_words])
