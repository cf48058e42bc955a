"""The client for programs that wait for each call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from numpy.typing import ArrayLike

from . import _channel, _requests, calls
from ._channel import Tls
from ._retries import Attempts, Budget, Retries, UnansweredCalls
from .calls import AttentionCall, Layer, ProjectionWeights
from .errors import Cancelled, Unavailable, from_rpc_error, with_what_may_have_happened
from .layer_files import LayerFile, upload_parts
from .results import AttentionResult, EncodeResult, LayerInfo

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class AttentionClient:
    """Calls an attention server over one connection, which is made by the first call and made again
    when it breaks. Thread-safe: one for the whole program is what to make.

        with AttentionClient("localhost:50051") as client:
            result = client.compute_attention(tokens, num_heads=4)
            result.output, result.attention_weights

    Each method fails with a subclass of AttentionError: InvalidArgument tells the fields that are
    wrong, ResourceExhausted when to try again, Unavailable that nobody answers. `timeout` is in
    seconds; None means the client's own, but where a method says otherwise.
    """

    def __init__(self, target: str = "localhost:50051", *, tls: Tls | None = None,
                 timeout: float | None = 60.0, retries: Retries = Retries(),
                 options: Sequence[tuple[str, Any]] = ()) -> None:
        """target: HOST:PORT, of any name that gRPC resolves, or unix:PATH. timeout: of a call, seconds;
        None: none. retries: of calls that change no layers. options: of the gRPC channel, beside this
        client's."""
        arguments = _channel.options(tls, tuple(options))
        if tls is None:
            self._channel = grpc.insecure_channel(target, arguments)
        else:
            self._channel = grpc.secure_channel(target, tls.credentials(), arguments)
        self._timeout = timeout
        self._budget = Budget(retries)
        self._closed = threading.Event()
        self._methods = _requests.Callables()

    def close(self) -> None:
        """Ends the connection, and calls in flight with Cancelled."""
        self._closed.set()
        self._channel.close()

    def __enter__(self) -> AttentionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Attention.

    def compute_attention(self, tokens: ArrayLike, *, context: ArrayLike | None = None,
                          weights: ProjectionWeights | Mapping[str, ArrayLike] | None = None,
                          layer: Layer | None = None, timeout: float | None = None,
                          **options: Unpack[calls.Options]) -> AttentionResult:
        """Attention from token embeddings: see calls.tokens_call for arguments and shapes, and
        calls.Options for settings and results."""
        return self.compute(calls.tokens_call(tokens, context=context, weights=weights, layer=layer,
                                              **options), timeout=timeout)

    def compute(self, call: AttentionCall, *, timeout: float | None = None) -> AttentionResult:
        """Any call that the functions of `calls` make."""
        return self._unary(_requests.COMPUTE_ATTENTION, call.message, timeout, AttentionResult.of)

    def stream(self, stream_of: Iterable[AttentionCall], *, window: int = 32,
               timeout: float | None = None) -> Iterator[AttentionResult]:
        """Many calls on one stream, each answered as soon as it is through, so not in their order:
        `request_id` tells which. A call that fails gives a result with `error`, and the stream goes
        on. Calls are taken from `stream_of` as answers are read: at most `window` are on the way.
        Where the stream ends with Unavailable, those without an answer are made again on another
        one. timeout: of the whole stream; None: none.
        """
        if window < 1:
            raise ValueError(f"window is {window}; want at least 1")
        method = self._methods.of(_requests.STREAM_ATTENTION, self._channel.stream_stream)
        attempts = Attempts(self._budget, timeout)
        calls_of = _CallsOfStream(stream_of, window)
        try:
            while True:
                rpc = method(calls_of.requests(), timeout=attempts.time_left())
                try:
                    for response in rpc:
                        if not response.HasField("error"):
                            attempts.count_answer()
                        calls_of.answer(response)
                        yield AttentionResult.of(response)
                    return
                except grpc.RpcError as error:
                    if calls_of.failure is not None:
                        raise calls_of.failure from None
                    failure = from_rpc_error(error)
                    if isinstance(failure, Unavailable) and calls_of.are_answered():
                        return  # nothing is missing but the server's word that this was all
                    self._sleep(attempts.wait_after(failure))
                finally:  # also where nobody wants the others
                    rpc.cancel()
        finally:
            calls_of.end()

    def encode(self, layer: Layer, sequences: _requests.Sequences | None = None, *,
               timeout: float | None = None, **options: Any) -> EncodeResult:
        """A stored encoder's hidden states and pooled vectors.

        sequences: token ids of one sequence or of several, or, with tokenizer= (a
        tokenizers.Tokenizer, or the path of a tokenizer.json), a text or several. Or
        embeddings=[sum of lens, d_model] with lens=. Further: type_ids= of each sequence, truncate=
        True keeps the first max_len tokens, pooling="mean" or "first_token", normalize=True,
        results= of "hidden_states" and "pooled", probes=[{"layer": 0, "first_head": 0,
        "num_heads": 0, "results": ["attention_weights"]}], request_id=, and of calls.Settings
        causal, mask, left_window, right_window, alibi_slopes, compute_type and score_stage.
        """
        request = _requests.encode_request(layer, sequences, **options)
        return self._unary(_requests.ENCODE, request, timeout, EncodeResult.of)

    # Stored layers.

    def upload_layer(self, name: str, file: LayerFile,
                     config: Mapping[str, Any] | str | os.PathLike[str] | None = None, *,
                     timeout: float | None = None) -> LayerInfo:
        """Uploads a layer as the next version of its name.

        file: the path of a safetensors file, or a state_dict. config: its config.json, as a dict or a
        path; None: the one beside the file. timeout: of the whole upload; None: an hour.
        """
        method = self._methods.of(_requests.UPLOAD_LAYER, self._channel.stream_unary)
        parts = _requests.Watched(upload_parts(name, file, config))
        try:
            return LayerInfo.of(method(parts, timeout=_requests.layer_timeout(timeout)))
        except grpc.RpcError as error:
            raise parts.failure or with_what_may_have_happened(from_rpc_error(error)) from None

    def create_layer(self, name: str, *, attention: Mapping[str, Any] | None = None,
                     encoder: Mapping[str, Any] | None = None,
                     initialization: str = "xavier_uniform", scale: float = 0.0, seed: int = 0,
                     timeout: float | None = None) -> LayerInfo:
        """Makes a layer of random weights on the server; the fields of CreateAttention and
        CreateEncoder are in proto/attention/v1/layer_service.proto. timeout: None: an hour."""
        request = _requests.create_request(name, attention=attention, encoder=encoder,
                                           initialization=initialization, scale=scale, seed=seed)
        return self._unary(_requests.CREATE_LAYER, request, _requests.layer_timeout(timeout),
                           LayerInfo.of)

    def get_layer(self, layer: Layer, *, timeout: float | None = None) -> LayerInfo:
        request = _requests.layer_request("GetLayerRequest", layer)
        return self._unary(_requests.GET_LAYER, request, timeout, LayerInfo.of)

    def list_layers(self, *, timeout: float | None = None) -> list[LayerInfo]:
        """All versions of all layers, by name and then the newest first."""
        found, token = [], ""
        while True:
            request = _requests.LIST_LAYERS.request(page_token=token)
            page = self._unary(_requests.LIST_LAYERS, request, timeout, lambda answer: answer)
            found += [LayerInfo.of(layer) for layer in page.layers]
            token = page.next_page_token
            if not token:
                return found

    def delete_layer(self, layer: Layer, *, timeout: float | None = None) -> None:
        """One version, or all where none is named."""
        request = _requests.layer_request("DeleteLayerRequest", layer)
        self._unary(_requests.DELETE_LAYER, request, timeout, lambda _: None)

    def is_serving(self, service: str = "", *, timeout: float | None = None) -> bool:
        """What the server's health says of a service, a layer ("layers/NAME"), or all of it ("")."""
        request = _requests.CHECK_HEALTH.request(service=service)
        return self._unary(_requests.CHECK_HEALTH, request, timeout, lambda answer: answer.status == 1)

    def _unary(self, method: _requests.Method, request: Any, timeout: float | None,
               result_of: Callable[[Any], T]) -> T:
        call = self._methods.of(method, self._channel.unary_unary)
        attempts = Attempts(self._budget, self._timeout if timeout is None else timeout,
                            once=method.changes_layers)
        while True:
            try:
                response = call(request, timeout=attempts.time_left())
            except grpc.RpcError as error:
                self._sleep(attempts.wait_after(from_rpc_error(error)))
            else:
                attempts.count_answer()
                return result_of(response)

    def _sleep(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise Cancelled("the client was closed") from None


class _CallsOfStream:
    """The calls that one stream sends, over one stream of gRPC's after the other, each of which takes
    them on a thread of its own."""

    def __init__(self, stream_of: Iterable[AttentionCall], window: int) -> None:
        self.failure: BaseException | None = None  # of the caller's own source
        self._source = iter(stream_of)
        self._room = threading.Semaphore(window)
        self._ended = threading.Event()
        self._taking = threading.Lock()  # from the source; held for as long as that takes
        self._lock = threading.Lock()  # of what follows
        self._unanswered = UnansweredCalls()
        self._exhausted = False
        self._streams = 0

    def requests(self) -> Iterator[Any]:
        """What the next stream sends: the calls without an answer, and then those of the source. From
        now on the streams before it send nothing more."""
        with self._lock:
            self._streams += 1
            self._unanswered.send_again()
        return self._requests_of(self._streams)

    def answer(self, response: Any) -> None:
        with self._lock:
            self._unanswered.answer(response)
        self._room.release()

    def are_answered(self) -> bool:
        """Whether all were sent and answered."""
        with self._lock:
            return self._exhausted and not self._unanswered

    def end(self) -> None:
        self._ended.set()

    def _requests_of(self, stream: int) -> Iterator[Any]:
        while True:
            with self._lock:
                request = self._next_of(stream)
            if request is not None:
                yield request
            elif not self._take(stream):
                return

    def _next_of(self, stream: int) -> Any:
        """The next that is there; self._lock is held."""
        unsent = self._unanswered.unsent
        return unsent.popleft() if stream == self._streams and unsent else None

    def _take(self, stream: int) -> bool:
        """Takes a call from the source, where no other thread did so meanwhile. False: there is none
        for this stream."""
        with self._taking:
            with self._lock:
                if stream != self._streams or self._exhausted:
                    return False
                if self._unanswered.unsent:
                    return True
            while not self._room.acquire(timeout=0.1):
                if self._ended.is_set():
                    return False
            try:
                call = next(self._source, None)
            except BaseException as failure:
                self.failure = failure
                raise
            with self._lock:
                self._exhausted = call is None
                if call is not None:
                    self._unanswered.add(call.message)
            return call is not None
