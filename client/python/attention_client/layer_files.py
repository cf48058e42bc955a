"""Layers on their way to the server: safetensors files, and those made of a state_dict."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, Union

import numpy as np

from . import _protocol
from ._tensors import as_array

LayerFile = Union[str, "os.PathLike[str]", Mapping[str, Any]]

CHUNK_BYTES = 1 << 20

# numpy types by their names in safetensors; uint16 holds bfloat16.
_TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "uint16": "BF16",
          "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}


def _pieces_of(state: Mapping[str, Any]) -> tuple[int, Iterator[bytes]]:
    """A state_dict as a safetensors file: its bytes, and its pieces, made one tensor at a time."""
    arrays = {name: as_array(tensor) for name, tensor in state.items()}
    header, offset = {}, 0
    for name, array in arrays.items():
        if array.dtype.name not in _TYPES:
            raise TypeError(f"{name} is an array of {array.dtype.name}, which safetensors lacks")
        header[name] = {"dtype": _TYPES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    def pieces() -> Iterator[bytes]:
        yield len(text).to_bytes(8, "little") + text
        for array in arrays.values():
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            yield np.ascontiguousarray(little).tobytes()

    return 8 + len(text) + offset, pieces()


def _read(path: pathlib.Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for begin in range(0, len(piece), CHUNK_BYTES):
            yield piece[begin:begin + CHUNK_BYTES]


def _config_text(config: Mapping[str, Any] | str | os.PathLike[str] | None, file: LayerFile) -> str:
    if isinstance(config, Mapping):
        return json.dumps(config)
    if config is None:
        if isinstance(file, Mapping):
            raise TypeError("a state_dict needs its config, such as "
                            '{"format": "torch.nn.MultiheadAttention", "num_heads": 8}')
        config = pathlib.Path(file).with_name("config.json")
    return pathlib.Path(config).read_text(encoding="utf-8")


def _check_is_no_checkpoint(path: pathlib.Path) -> None:
    """ValueError where the file is a PyTorch checkpoint, or where one stands in its place."""
    checkpoint = path if path.exists() else path.with_name("pytorch_model.bin")
    try:
        with checkpoint.open("rb") as file:
            start = file.read(4)  # torch.save writes a zip archive, before PyTorch 1.6 a pickle
    except OSError:
        return
    if start == b"PK\3\4" or start.startswith(b"\x80\2"):
        raise ValueError(f"{checkpoint} is a PyTorch checkpoint; upload what it holds, as in upload_layer("
                         f"name, torch.load({os.fspath(checkpoint)!r}, map_location='cpu', "
                         "weights_only=True), config), or make a safetensors file of it")


def upload_parts(name: str, file: LayerFile,
                 config: Mapping[str, Any] | str | os.PathLike[str] | None) -> Iterator[Any]:
    """The messages of an upload. What is wrong with the files shows before the first of them."""
    part = _protocol.message("UploadLayerRequest")
    header: dict[str, Any] = {"name": name, "config_json": _config_text(config, file)}
    if isinstance(file, Mapping):
        header["file_bytes"], pieces = _pieces_of(file)
    else:
        path = pathlib.Path(file)
        _check_is_no_checkpoint(path)
        header["file_bytes"], pieces = path.stat().st_size, _read(path)
        digest = hashlib.sha256()
        for chunk in _read(path):
            digest.update(chunk)
        header["sha256"] = digest.hexdigest()

    def parts() -> Iterator[Any]:
        yield part(header=header)
        for chunk in _chunks(pieces):
            yield part(chunk=chunk)

    return parts()
