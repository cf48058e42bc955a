"""Between numpy arrays and tensors of the protocol."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _protocol

try:
    from ml_dtypes import bfloat16 as _BFLOAT16  # not in Debian 12
except ImportError:
    _BFLOAT16 = None

# What a numpy type is in the protocol. uint16 is taken for the bits of bfloat16, which numpy lacks.
_TYPES = {"float32": "float32", "float64": "float64", "float16": "float16", "bool": "bool",
          "bfloat16": "bfloat16", "uint16": "bfloat16"}


def to_bfloat16(array: ArrayLike) -> np.ndarray:
    """The bits of an array's numbers as bfloat16, rounded to nearest even: uint16, same shape."""
    bits = np.array(array, dtype=np.float32, order="C").view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
    nan = np.isnan(bits.view(np.float32))
    return np.where(nan, bits >> 16 | 0x40, rounded).astype(np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The numbers whose bits as bfloat16 are given (uint16, or ml_dtypes.bfloat16): float32."""
    if bits.dtype.name not in ("uint16", "bfloat16"):
        raise TypeError(f"an array of {bits.dtype.name}; want uint16, or bfloat16 of ml_dtypes")
    same_order = bits.astype(bits.dtype.newbyteorder("="), copy=False)
    return (same_order.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def as_array(numbers: Any) -> np.ndarray:
    """A numpy array, a torch tensor, or nested lists (which become float32), as a numpy array."""
    if hasattr(numbers, "detach"):  # torch.Tensor, which torch may have on another device
        numbers = numbers.detach().cpu()
        if str(numbers.dtype) == "torch.bfloat16":
            return numbers.contiguous().view(sys.modules["torch"].int16).numpy().view(np.uint16)
        return numbers.numpy()
    if isinstance(numbers, (np.ndarray, np.generic)):
        return np.asarray(numbers)
    array = np.asarray(numbers)
    return array.astype(np.float32) if array.dtype.kind in "iuf" else array


def has_integers(numbers: Any) -> bool:
    """Whether they are whole numbers of a type for such, in whatever as_array takes."""
    given = as_array(numbers) if hasattr(numbers, "dtype") else np.asarray(numbers)
    return given.dtype.kind in "iu" and given.dtype.name != "uint16"


def fill(tensor: Any, numbers: Any) -> None:
    """Sets a Tensor. TypeError for numbers that the protocol has no type for."""
    array = as_array(numbers)
    if array.dtype.kind in "iu" and array.dtype.name != "uint16":
        array = array.astype(np.float32)
    name = array.dtype.name
    if name not in _TYPES:
        raise TypeError(f"an array of {name}; want float32, float64, float16, bfloat16 (of "
                        "ml_dtypes, or its bits as uint16), bool or integers")
    if sys.byteorder == "big" or array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    tensor.data_type = _protocol.value_of("DataType", _TYPES[name])
    tensor.shape.extend(array.shape)
    tensor.data = array.tobytes()


def _integer_type(numbers: Any) -> str:
    """The type of an array or a tensor of integers, or of those in a list; else empty."""
    while isinstance(numbers, (list, tuple)) and numbers:
        numbers = numbers[0]
    return as_array(numbers).dtype.name if hasattr(numbers, "dtype") and has_integers(numbers) else ""


def _are_rows_of_ids(numbers: Any) -> bool:
    return isinstance(numbers, (list, tuple)) and all(
        isinstance(row, (list, tuple)) and all(isinstance(one, int) and one >= 0 for one in row)
        for row in numbers)


def fill_embeddings(tensor: Any, numbers: Any, name: str) -> None:
    """Sets a Tensor of token embeddings; messages call it `name`. TypeError for what token ids look
    like: integers of a type for such, or rows of whole numbers that differ in length."""
    belong = "token ids belong in encode(layer, token_ids)"
    integer_type = _integer_type(numbers)
    if integer_type:
        raise TypeError(f"{name}: integers of type {integer_type}, as token ids are; want embeddings, which "
                        f"are floats, such as numbers.astype(numpy.float32); {belong}")
    try:
        fill(tensor, numbers)
    except (TypeError, ValueError):  # of numpy, for rows that differ
        if not _are_rows_of_ids(numbers):
            raise
        raise TypeError(f"{name}: rows of different lengths; want embeddings, [len, d_model] or "
                        f"[batch, len, d_model]; {belong}") from None


def to_array(tensor: Any) -> np.ndarray:
    """The numbers of a Tensor: a read-only view of its bytes, or a copy where it holds float_values.
    bfloat16 is that of ml_dtypes where it is installed, else uint16."""
    name = _protocol.name_of("DataType", tensor.data_type)
    if tensor.float_values:  # float32, or whole numbers of a type for such
        return np.array(tensor.float_values, dtype=name or "float32").reshape(tuple(tensor.shape))
    if name == "bfloat16":
        dtype = np.dtype(_BFLOAT16 or np.uint16)
    else:
        dtype = np.dtype(name).newbyteorder("<")
    return np.frombuffer(tensor.data, dtype=dtype).reshape(tuple(tensor.shape))


def array_of(response: Any, field: str) -> np.ndarray | None:
    """The numbers of a field that may be unset."""
    return to_array(getattr(response, field)) if response.HasField(field) else None
