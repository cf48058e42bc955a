"""The messages of proto/attention/v1, from the descriptors that protoc wrote into protocol.binpb.

There is no generated code: descriptors serve every release of protobuf alike, and in a pool of their
own they never clash with another package's google.rpc.
"""

from __future__ import annotations

import functools
import pathlib
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "attention.v1"


@functools.lru_cache(maxsize=None)
def _pool() -> Any:
    file = pathlib.Path(__file__).with_name("protocol.binpb")
    if not file.exists():
        raise ImportError(
            f"{file} is missing: install the package (pip install client/python), or build the "
            "target attention_python and put build/release/python on PYTHONPATH")
    pool = descriptor_pool.DescriptorPool()
    for one in descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes()).file:
        pool.AddSerializedFile(one.SerializeToString())
    return pool


@functools.lru_cache(maxsize=None)
def message(name: str) -> Any:
    """The class of a message, such as "Tensor" or "google.rpc.Status"."""
    full_name = name if "." in name else f"{PACKAGE}.{name}"
    descriptor = _pool().FindMessageTypeByName(full_name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_pool()).GetPrototype(descriptor)  # before 4.22


def _prefix(name: str) -> str:
    """DataType's values begin with DATA_TYPE_."""
    return "".join("_" + c if c.isupper() and i else c for i, c in enumerate(name)).upper() + "_"


@functools.lru_cache(maxsize=None)
def names_of(enum: str) -> dict[str, int]:
    """The values of an enumeration by what follows its prefix, in small letters."""
    values = _pool().FindEnumTypeByName(f"{PACKAGE}.{enum}").values_by_name
    prefix = _prefix(enum.rsplit(".", 1)[-1])
    return {name[len(prefix):].lower(): value.number for name, value in values.items()
            if not name.endswith("_UNSPECIFIED")}


def value_of(enum: str, name: str) -> int:
    """The number of "softmax" in Normalization. ValueError says which names there are."""
    values = names_of(enum)
    if name.lower() in values:
        return values[name.lower()]
    raise ValueError(f"{enum} has no {name!r}; there are {', '.join(values)}")


def name_of(enum: str, number: int) -> str:
    """The name of a number, or "" for none that this client knows."""
    return next((name for name, value in names_of(enum).items() if value == number), "")
