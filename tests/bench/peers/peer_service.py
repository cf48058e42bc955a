"""The part of attention.v1 that a peer answers, over whichever backend it is given.

ComputeAttention: tokens [len, width] of float32 bytes, alone or with a stored layer, without config;
output, attention_scores and attention_weights. GetLayer. Anything else is INVALID_ARGUMENT,
NOT_FOUND or UNIMPLEMENTED.
"""

import contextlib
import pathlib
import platform

import google.protobuf
import grpc
from attention_client import _protocol

import mha_layer

_Request, _Response = (_protocol.message(f"ComputeAttention{x}") for x in ("Request", "Response"))
_FLOAT32 = _protocol.value_of("DataType", "float32")
_ATTENTION = _protocol.value_of("LayerKind", "attention")
_RESULTS = {_protocol.value_of("Result", name): name
            for name in ("output", "attention_scores", "attention_weights")}


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


def _invalid(text):
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, text)


class Service:
    """Stateless but for its layers, so thread-safe."""

    def __init__(self, backend, layer_dir, computing=contextlib.nullcontext):
        """backend: numpy_attention or torch_attention. layer_dir: NAME/model.safetensors and
        NAME/config.json of each layer; None: there are none. computing: makes what is entered while a
        call is computed."""
        self._backend, self._computing = backend, computing
        self._layers = {} if layer_dir is None else {
            config.parent.name: backend.Layer(*mha_layer.read(config.parent))
            for config in pathlib.Path(layer_dir).glob("*/config.json")}

    def compute_attention(self, request):
        source = request.tokens
        if (request.WhichOneof("source") != "tokens" or source.HasField("context")
                or source.HasField("projection_weights") or source.q_lens or source.kv_lens
                or request.HasField("config") or request.query_indices):
            raise _invalid("this server takes tokens and a layer alone")
        if source.HasField("layer"):
            layer = self._layer(source.layer)
            attend, heads, width = layer.attend, layer.num_heads, layer.d_model
        else:
            attend, heads, width = self._backend.attend, 1, None
        tokens = self._tokens(source.tokens, width)
        wanted = self._wanted(request.results)

        length = tokens.shape[0]
        with self._computing():
            results = attend(tokens, keep=wanted != {"output"})
        response = _Response(request_id=request.request_id)
        for name, numbers in zip(_RESULTS.values(), results):
            if name in wanted:
                tensor = getattr(response, name)
                tensor.data_type = _FLOAT32
                tensor.shape.extend(numbers.shape if name == "output" else
                                    (1, heads, length, length))
                tensor.data = self._backend.bytes_of(numbers)
        return response

    def get_layer(self, request):
        layer = self._layer(request.layer)
        return _protocol.message("Layer")(
            name=request.layer.name, version=1, kind=_ATTENTION, d_model=layer.d_model,
            num_heads=layer.num_heads, format="torch.nn.MultiheadAttention")

    def _layer(self, ref):
        if ref.name not in self._layers or ref.version > 1:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"there is no layer {ref.name}")
        return self._layers[ref.name]

    def _tokens(self, tensor, width):
        shape = tuple(tensor.shape)
        if tensor.data_type != _FLOAT32 or len(shape) != 2 or width not in (None, shape[1]):
            raise _invalid(f"tokens.tokens has the shape {list(shape)}; want float32 [len, "
                           f"{width or 'width'}]")
        data = tensor.data
        if min(shape) < 1 or len(data) != 4 * shape[0] * shape[1]:
            raise _invalid(f"tokens.tokens.data has {len(data)} bytes for {list(shape)}")
        return self._backend.tokens_of(data, shape)

    @staticmethod
    def _wanted(results):
        if not results:
            return set(_RESULTS.values())
        try:
            return {_RESULTS[result] for result in results}
        except KeyError as unknown:
            raise _invalid(f"this server has no result {unknown}") from None


def is_small(request):
    """Computed sooner than handed to another thread."""
    return request.ByteSize() < 4096


def versions():
    from google.protobuf.internal import api_implementation

    return (f"grpcio {grpc.__version__}, protobuf {google.protobuf.__version__} "
            f"({api_implementation.Type()}), Python {platform.python_version()}")


def methods(service):
    """(path, the Service's function, request, response) of each method."""
    return [("attention.v1.AttentionService", "ComputeAttention", service.compute_attention,
             _Request, _Response),
            ("attention.v1.LayerService", "GetLayer", service.get_layer,
             _protocol.message("GetLayerRequest"), _protocol.message("Layer"))]
