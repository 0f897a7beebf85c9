"""Lossless packing of bfloat16 arrays into about three quarters of their bytes.

The upper byte of a bfloat16 is its sign and most of its exponent, which in hidden states takes few
values: the most frequent ones become codes of four bits, two to a byte, and the others follow as
they are. The lower byte is close to random and is kept. Entropy coding would save another tenth,
and take several times as long to read.
"""

import numpy as np

CODES = 15  # the sixteenth code stands for a value that follows as it is


def pack(bits: np.ndarray) -> np.ndarray:
    """Pack uint16 bit patterns of any shape into a one-dimensional uint8 array."""
    flat = np.ascontiguousarray(bits).reshape(-1)
    upper = (flat >> 8).astype(np.uint8)
    counts = np.bincount(upper, minlength=256)
    frequent = np.argsort(-counts, kind="stable")[:CODES].astype(np.uint8)
    code_of = np.full(256, CODES, np.uint8)
    code_of[frequent] = np.arange(CODES)
    codes = np.take(code_of, upper)
    rare = upper[codes == CODES]
    even = np.append(codes, codes[: codes.size % 2])
    return np.concatenate([frequent, flat.astype(np.uint8), even[::2] << 4 | even[1::2], rare])


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The uint16 bit patterns that `pack` was given, in the given shape."""
    size = int(np.prod(shape))
    ends = np.cumsum([CODES, size, (size + 1) // 2])
    frequent, lower, pairs, rare = np.split(packed, ends)
    values = np.append(frequent, np.uint8(0))
    upper_of = np.stack(np.broadcast_arrays(values[:, None], values[None, :]), -1)
    upper = np.take(upper_of.reshape(256, 2).view(np.uint16), pairs).view(np.uint8)[:size]
    if rare.size:
        at = np.flatnonzero((pairs >= CODES << 4) | (pairs & 15 == CODES))
        codes = np.stack([pairs[at] >> 4, pairs[at] & 15], 1)
        places = (2 * at[:, None] + np.arange(2))[codes == CODES]
        upper[places[places < size]] = rare
    bits: np.ndarray = upper.astype(np.uint16) << 8 | lower
    return bits.reshape(shape)


def as_float32(array: np.ndarray) -> np.ndarray:
    """Exact float32 values of an array of floats, or of bfloat16 given as uint16 bit patterns."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)
