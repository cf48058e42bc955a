"""Requests of the other methods, and the table of all, which both clients share."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

from numpy.typing import ArrayLike

from . import _protocol
from ._tensors import fill_embeddings
from .calls import Layer, names, set_layer, set_settings


class Method(NamedTuple):
    path: str
    request: Any
    response: Any

    @property
    def changes_layers(self) -> bool:
        return self.path.endswith(("/UploadLayer", "/CreateLayer", "/DeleteLayer"))


class Callables:
    """What gRPC calls the methods of one channel by, each made when it is first called."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def of(self, method: Method, kind: Callable[..., Any]) -> Any:
        """kind: the channel's function for such methods, such as channel.unary_unary."""
        if method.path not in self._made:
            self._made[method.path] = kind(
                method.path, request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString)
        return self._made[method.path]


def layer_timeout(timeout: float | None) -> float:
    """Seconds for what is made of many gigabytes, over slow lines maybe."""
    return 3600.0 if timeout is None else timeout


def method(service: str, name: str, request: str, response: str) -> Method:
    return Method(f"/{_protocol.PACKAGE}.{service}/{name}", _protocol.message(request),
                  _protocol.message(response))


COMPUTE_ATTENTION = method("AttentionService", "ComputeAttention", "ComputeAttentionRequest",
                           "ComputeAttentionResponse")
STREAM_ATTENTION = method("AttentionService", "StreamAttention", "ComputeAttentionRequest",
                          "ComputeAttentionResponse")
ENCODE = method("EncoderService", "Encode", "EncodeRequest", "EncodeResponse")
UPLOAD_LAYER = method("LayerService", "UploadLayer", "UploadLayerRequest", "Layer")
CREATE_LAYER = method("LayerService", "CreateLayer", "CreateLayerRequest", "Layer")
GET_LAYER = method("LayerService", "GetLayer", "GetLayerRequest", "Layer")
LIST_LAYERS = method("LayerService", "ListLayers", "ListLayersRequest", "ListLayersResponse")
DELETE_LAYER = method("LayerService", "DeleteLayer", "DeleteLayerRequest",
                      "google.protobuf.Empty")
CHECK_HEALTH = Method("/grpc.health.v1.Health/Check",
                      _protocol.message("grpc.health.v1.HealthCheckRequest"),
                      _protocol.message("grpc.health.v1.HealthCheckResponse"))

# A text, texts, the token ids of one sequence or of several.
Sequences = Union[str, Sequence[str], Sequence[int], Sequence[Sequence[int]], Any]


@functools.lru_cache(maxsize=8)
def _tokenizer_of(path: str) -> Any:
    import tokenizers  # installed where it is wanted

    tokenizer = tokenizers.Tokenizer.from_file(path)
    tokenizer.no_padding()
    tokenizer.no_truncation()  # the server knows how long a sequence may be
    return tokenizer


def _tokenized(texts: Sequence[str], tokenizer: Any) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids and type ids, without padding, by the package `tokenizers`."""
    if tokenizer is None:
        raise TypeError("texts need tokenizer=, a tokenizers.Tokenizer or the path of a "
                        "tokenizer.json; or send token ids")
    if isinstance(tokenizer, (str, os.PathLike)):
        tokenizer = _tokenizer_of(os.fspath(tokenizer))
    ids, types = [], []
    for one in tokenizer.encode_batch(list(texts)):
        real = [i for i, counts in enumerate(one.attention_mask) if counts]
        ids.append([one.ids[i] for i in real])
        types.append([one.type_ids[i] for i in real])
    return ids, types


def _by_sequence(ids: Any) -> list[list[int]]:
    """Whole numbers of one sequence or of several, in lists, arrays or tensors."""
    nested = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    nested = [one.tolist() if hasattr(one, "tolist") else one for one in nested]
    if nested and not hasattr(nested[0], "__len__"):
        nested = [nested]
    return [[operator.index(one) for one in sequence] for sequence in nested]


def encode_request(layer: Layer, sequences: Sequences | None = None, *, tokenizer: Any = None,
                   embeddings: ArrayLike | None = None, lens: Sequence[int] = (),
                   type_ids: Any = None, truncate: bool = False,
                   results: str | Iterable[str] = (), pooling: str = "mean", normalize: bool = False,
                   probes: Iterable[Mapping[str, Any]] = (), request_id: str = "",
                   **settings: Any) -> Any:
    """An EncodeRequest; see AttentionClient.encode."""
    request = _protocol.message("EncodeRequest")(request_id=request_id, normalize=normalize)
    set_layer(request.layer, layer)
    if sequences is not None:
        if isinstance(sequences, str):
            sequences = [sequences]
        if len(sequences) > 0 and isinstance(sequences[0], str):
            texts: Any = sequences
            batch, types = _tokenized(texts, tokenizer)
            if type_ids is None and any(map(any, types)):
                type_ids = types
        else:
            batch = _by_sequence(sequences)
        if len(lens) > 0:
            raise TypeError("lens are of embeddings; token ids are a list for each sequence")
        for ids in batch:
            request.token_ids.extend(ids)
            request.lens.append(len(ids))
    if embeddings is not None:
        fill_embeddings(request.embeddings, embeddings, "embeddings")
        request.lens.extend(lens)
    if type_ids is not None:
        for ids in _by_sequence(type_ids):
            request.type_ids.extend(ids)
    if truncate:
        request.truncation = _protocol.value_of("Truncation", "keep_first")
    request.results.extend(_protocol.value_of("EncodeResult", one) for one in names(results))
    request.pooling = _protocol.value_of("Pooling", pooling)
    for probe in probes:
        wanted = dict(probe)
        wanted["results"] = [_protocol.value_of("EncodeResult", one)
                             for one in names(wanted.get("results", "attention_weights"))]
        request.probes.add(**wanted)
    if settings:
        set_settings(request.config, settings)
    return request


class Watched(Iterator[Any]):
    """An iterator that keeps what it failed with: gRPC would tell no more than that it did."""

    def __init__(self, source: Iterable[Any]) -> None:
        self._source = iter(source)
        self.failure: BaseException | None = None

    def __next__(self) -> Any:
        try:
            return next(self._source)
        except StopIteration:
            raise
        except BaseException as failure:
            self.failure = failure
            raise


def create_request(name: str, *, attention: Mapping[str, Any] | None, encoder: Mapping[str, Any] | None,
                   initialization: str, scale: float, seed: int) -> Any:
    request = _protocol.message("CreateLayerRequest")(
        name=name, scale=scale, seed=seed,
        initialization=_protocol.value_of("Initialization", initialization))
    if (attention is None) == (encoder is None):
        raise TypeError("want one of attention= and encoder=")
    if attention is not None:
        request.attention.MergeFrom(_protocol.message("CreateAttention")(**attention))
    else:
        sizes = dict(encoder or {})
        for key, enum in (("positions", "CreateEncoder.Positions"),
                          ("activation", "CreateEncoder.FeedForwardActivation")):
            if isinstance(sizes.get(key), str):
                sizes[key] = _protocol.value_of(enum, sizes[key])
        request.encoder.MergeFrom(_protocol.message("CreateEncoder")(**sizes))
    return request


def layer_request(message_name: str, layer: Layer) -> Any:
    request = _protocol.message(message_name)()
    set_layer(request.layer, layer)
    return request
