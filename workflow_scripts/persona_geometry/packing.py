"""Lossless packing of bfloat16 arrays into about two thirds of their bytes.

The upper byte of a bfloat16 is its sign and most of its exponent, which in hidden states takes few
values; Huffman coding halves it and more. The lower byte is close to random and is kept as it is.
"""

import zlib

import numpy as np


def pack(bits: np.ndarray) -> np.ndarray:
    """Pack uint16 bit patterns of any shape into a one-dimensional uint8 array."""
    flat = np.ascontiguousarray(bits).reshape(-1)
    coder = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    upper = coder.compress((flat >> 8).astype(np.uint8).data) + coder.flush()
    lower = flat.astype(np.uint8)
    return np.concatenate([lower, np.frombuffer(upper, np.uint8)])


def as_float32(array: np.ndarray) -> np.ndarray:
    """Exact float32 values of an array of floats, or of bfloat16 given as uint16 bit patterns."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The uint16 bit patterns that `pack` was given, in the given shape."""
    size = int(np.prod(shape))
    upper = np.frombuffer(zlib.decompress(packed[size:].data, -15), np.uint8)
    return ((upper.astype(np.uint16) << 8) | packed[:size]).reshape(shape)
