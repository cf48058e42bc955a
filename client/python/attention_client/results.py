"""What calls return: numpy arrays that are read-only views of the answer's bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from . import _protocol
from ._tensors import array_of, to_array
from .errors import AttentionError, from_status


@dataclass(frozen=True)
class Timing:
    """Where the time went on the server, seconds."""

    queue: float  # until a compute thread took the call up
    decode: float
    compute: float
    prepare: float  # making room for the results
    batch_calls: int  # calls that ran as one batch with this one, itself included

    @classmethod
    def of(cls, timing: Any) -> Timing:
        seconds = {name: getattr(timing, name).seconds + getattr(timing, name).nanos * 1e-9
                   for name in ("queue", "decode", "compute", "prepare")}
        return cls(batch_calls=timing.batch_calls, **seconds)


@dataclass(frozen=True, eq=False)
class TopKeys:
    """[batch, num_heads, q_len, top_k]; the most attended key first."""

    indices: np.ndarray  # int32
    attention_weights: np.ndarray  # float32


@dataclass(frozen=True, eq=False)
class AttentionResult:
    """What was asked for; the others are None. proto/attention/v1/attention.proto, enum Result, says what
    each result is, and its axes in a batch that is not ragged. Of a ragged batch, whose sequences differ
    in length, all but the output lie flat, sequence after sequence.

    output has as many axes as the query: [q_len, width], [batch, q_len, width] or [batch, num_heads,
    q_len, v_head_dim].
    """

    query: np.ndarray | None
    key: np.ndarray | None
    value: np.ndarray | None
    present_key: np.ndarray | None
    present_value: np.ndarray | None
    attention_scores: np.ndarray | None
    attention_weights: np.ndarray | None
    log_sum_exp: np.ndarray | None
    weighted_values: np.ndarray | None
    top_keys: TopKeys | None
    output: np.ndarray | None
    timing: Timing
    request_id: str = ""
    error: AttentionError | None = None  # of a call on a stream: why there is nothing else

    @classmethod
    def of(cls, response: Any) -> AttentionResult:
        failed = response.HasField("error")
        return cls(**{name: _result_of(response, name) for name in result_names(response.DESCRIPTOR)},
                   timing=Timing.of(response.timing), request_id=response.request_id,
                   error=from_status(response.error, response.request_id) if failed else None)


def result_names(response: Any) -> list[str]:
    """The fields of a response, by its descriptor, that are results."""
    return [field.name for field in response.fields
            if field.message_type is not None and field.message_type.name in ("Tensor", "TopKeys")]


def _result_of(response: Any, name: str) -> np.ndarray | TopKeys | None:
    if not response.HasField(name):
        return None
    found = getattr(response, name)
    if found.DESCRIPTOR.name == "TopKeys":
        return TopKeys(to_array(found.indices), to_array(found.attention_weights))
    return to_array(found)


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What was seen within an encoder. hidden_states [sum of lens, d_model]; scores and weights
    [batch, num_heads, len, len], or flat where sequences differ in length."""

    hidden_states: np.ndarray | None
    attention_scores: np.ndarray | None
    attention_weights: np.ndarray | None


@dataclass(frozen=True, eq=False)
class EncodeResult:
    """What an encoder made of a batch of sequences."""

    pooled: np.ndarray | None  # [batch, d_model]
    hidden_states: list[np.ndarray] | None  # of each sequence [len, d_model]
    lens: list[int]  # tokens of each sequence, after truncation
    layer: tuple[str, int]  # with the version that was used
    probes: list[ProbeResult]
    timing: Timing
    request_id: str = ""

    @classmethod
    def of(cls, response: Any) -> EncodeResult:
        lens = list(response.lens)
        together = array_of(response, "hidden_states")
        hidden = None if together is None else np.split(together, np.cumsum(lens)[:-1])
        names = result_names(_protocol.message("ProbeResponse").DESCRIPTOR)
        return cls(pooled=array_of(response, "pooled"), hidden_states=hidden, lens=lens,
                   layer=(response.layer.name, response.layer.version),
                   probes=[ProbeResult(**{name: array_of(probe, name) for name in names})
                           for probe in response.probes],
                   timing=Timing.of(response.timing), request_id=response.request_id)


@dataclass(frozen=True)
class LayerInfo:
    """One version of a stored layer."""

    name: str
    version: int
    created: datetime
    problem: str  # why it cannot be used; "": it can
    kind: str  # "attention" or "encoder"
    format: str  # by whose names its file goes, such as "torch.nn.MultiheadAttention"
    config_json: str  # not in lists
    file_bytes: int
    parameters: int  # numbers in its tensors
    sha256: str  # of its file
    resident_bytes: int  # memory of its packed weights now
    d_model: int
    num_heads: int
    sizes: dict[str, int]  # further ones: num_kv_heads, head_dim ..., or num_layers, max_len ...

    @classmethod
    def of(cls, layer: Any) -> LayerInfo:
        kind = _protocol.name_of("LayerKind", layer.kind)
        sizes = getattr(layer, kind) if kind else None
        return cls(name=layer.name, version=layer.version,
                   created=datetime.fromtimestamp(layer.create_time.seconds, timezone.utc),
                   problem=layer.problem, kind=kind, format=layer.format,
                   config_json=layer.config_json, file_bytes=layer.file_bytes,
                   parameters=layer.parameter_count, sha256=layer.sha256,
                   resident_bytes=layer.resident_bytes, d_model=layer.d_model,
                   num_heads=layer.num_heads,
                   sizes={} if sizes is None else {
                       field.name: getattr(sizes, field.name) for field in sizes.DESCRIPTOR.fields})
