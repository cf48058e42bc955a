"""The client for asyncio: AttentionClient's methods as coroutines, with the same arguments."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from numpy.typing import ArrayLike

from . import _channel, _requests, calls
from ._channel import Tls
from ._retries import Attempts, Budget, Retries, UnansweredCalls
from .calls import AttentionCall, Layer, ProjectionWeights
from .errors import (AttentionError, Cancelled, Unavailable, from_rpc_error,
                     with_what_may_have_happened)
from .layer_files import LayerFile, upload_parts
from .results import AttentionResult, EncodeResult, LayerInfo

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class AttentionClient:
    """As attention_client.AttentionClient. Made and used within one event loop.

        async with aio.AttentionClient("localhost:50051") as client:
            result = await client.compute_attention(tokens, num_heads=4)
    """

    def __init__(self, target: str = "localhost:50051", *, tls: Tls | None = None,
                 timeout: float | None = 60.0, retries: Retries = Retries(),
                 options: Sequence[tuple[str, Any]] = ()) -> None:
        arguments = _channel.options(tls, tuple(options))
        if tls is None:
            self._channel = grpc.aio.insecure_channel(target, arguments)
        else:
            self._channel = grpc.aio.secure_channel(target, tls.credentials(), arguments)
        self._timeout = timeout
        self._budget = Budget(retries)
        self._methods = _requests.Callables()
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        await self._channel.close()

    async def __aenter__(self) -> AttentionClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def compute_attention(self, tokens: ArrayLike, *, context: ArrayLike | None = None,
                                weights: ProjectionWeights | Mapping[str, ArrayLike] | None = None,
                                layer: Layer | None = None, timeout: float | None = None,
                                **options: Unpack[calls.Options]) -> AttentionResult:
        call = calls.tokens_call(tokens, context=context, weights=weights, layer=layer, **options)
        return await self.compute(call, timeout=timeout)

    async def compute(self, call: AttentionCall, *, timeout: float | None = None) -> AttentionResult:
        return await self._unary(_requests.COMPUTE_ATTENTION, call.message, timeout,
                                 AttentionResult.of)

    async def stream(self, stream_of: AsyncIterable[AttentionCall] | Iterable[AttentionCall], *,
                     window: int = 32, timeout: float | None = None
                     ) -> AsyncIterator[AttentionResult]:
        if window < 1:
            raise ValueError(f"window is {window}; want at least 1")
        method = self._methods.of(_requests.STREAM_ATTENTION, self._channel.stream_stream)
        attempts = Attempts(self._budget, timeout)
        calls_of = _CallsOfStream(stream_of, window)
        try:
            while True:
                rpc = method(calls_of.requests(), timeout=attempts.time_left())
                try:
                    async for response in rpc:
                        if not response.HasField("error"):
                            attempts.count_answer()
                        calls_of.answer(response)
                        yield AttentionResult.of(response)
                    if calls_of.failure is not None:
                        raise calls_of.failure
                    return
                except (grpc.RpcError, asyncio.CancelledError) as error:
                    if calls_of.failure is not None:
                        raise calls_of.failure from None
                    failure = self._failure(error)
                    if isinstance(failure, Unavailable) and calls_of.are_answered():
                        return  # nothing is missing but the server's word that this was all
                    await self._wait_after(failure, attempts)
                finally:  # also where nobody wants the others
                    rpc.cancel()
        finally:
            calls_of.end()

    async def encode(self, layer: Layer, sequences: _requests.Sequences | None = None, *,
                     timeout: float | None = None, **options: Any) -> EncodeResult:
        request = _requests.encode_request(layer, sequences, **options)
        return await self._unary(_requests.ENCODE, request, timeout, EncodeResult.of)

    async def upload_layer(self, name: str, file: LayerFile,
                           config: Mapping[str, Any] | str | os.PathLike[str] | None = None, *,
                           timeout: float | None = None) -> LayerInfo:
        method = self._methods.of(_requests.UPLOAD_LAYER, self._channel.stream_unary)
        # Files are read on another thread: the loop goes on.
        parts = _requests.Watched(await asyncio.to_thread(upload_parts, name, file, config))

        async def sent() -> AsyncIterator[Any]:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                yield part

        try:
            return LayerInfo.of(await method(sent(), timeout=_requests.layer_timeout(timeout)))
        except (grpc.RpcError, asyncio.CancelledError) as error:
            failure = self._failure(error)
            if isinstance(failure, AttentionError):
                failure = with_what_may_have_happened(failure)
            raise (parts.failure or failure) from None

    async def create_layer(self, name: str, *, attention: Mapping[str, Any] | None = None,
                           encoder: Mapping[str, Any] | None = None,
                           initialization: str = "xavier_uniform", scale: float = 0.0,
                           seed: int = 0, timeout: float | None = None) -> LayerInfo:
        request = _requests.create_request(name, attention=attention, encoder=encoder,
                                           initialization=initialization, scale=scale, seed=seed)
        return await self._unary(_requests.CREATE_LAYER, request,
                                 _requests.layer_timeout(timeout), LayerInfo.of)

    async def get_layer(self, layer: Layer, *, timeout: float | None = None) -> LayerInfo:
        request = _requests.layer_request("GetLayerRequest", layer)
        return await self._unary(_requests.GET_LAYER, request, timeout, LayerInfo.of)

    async def list_layers(self, *, timeout: float | None = None) -> list[LayerInfo]:
        found, token = [], ""
        while True:
            request = _requests.LIST_LAYERS.request(page_token=token)
            page = await self._unary(_requests.LIST_LAYERS, request, timeout, lambda answer: answer)
            found += [LayerInfo.of(layer) for layer in page.layers]
            token = page.next_page_token
            if not token:
                return found

    async def delete_layer(self, layer: Layer, *, timeout: float | None = None) -> None:
        request = _requests.layer_request("DeleteLayerRequest", layer)
        await self._unary(_requests.DELETE_LAYER, request, timeout, lambda _: None)

    async def is_serving(self, service: str = "", *, timeout: float | None = None) -> bool:
        request = _requests.CHECK_HEALTH.request(service=service)
        return await self._unary(_requests.CHECK_HEALTH, request, timeout,
                                 lambda answer: answer.status == 1)

    async def _unary(self, method: _requests.Method, request: Any, timeout: float | None,
                     result_of: Callable[[Any], T]) -> T:
        call = self._methods.of(method, self._channel.unary_unary)
        attempts = Attempts(self._budget, self._timeout if timeout is None else timeout,
                            once=method.changes_layers)
        while True:
            try:
                response = await call(request, timeout=attempts.time_left())
            except (grpc.RpcError, asyncio.CancelledError) as error:
                await self._wait_after(self._failure(error), attempts)
            else:
                attempts.count_answer()
                return result_of(response)

    async def _wait_after(self, failure: BaseException, attempts: Attempts) -> None:
        """Until the next attempt after a call that failed so. Raises that where there is none."""
        if not isinstance(failure, AttentionError):
            raise failure from None
        await asyncio.sleep(attempts.wait_after(failure))
        if self._closed:
            raise Cancelled("the client was closed") from None

    def _failure(self, error: BaseException) -> BaseException:
        """Closing the client cancels its calls, which is not to be taken for the caller's task."""
        if isinstance(error, grpc.RpcError):
            return from_rpc_error(error)
        return Cancelled("the client was closed") if self._closed else error


class _CallsOfStream:
    """The calls that one stream sends, over one stream of gRPC's after the other. A task of its own
    takes them from the source: what sends them ends with the stream of gRPC's that it is for."""

    def __init__(self, stream_of: AsyncIterable[AttentionCall] | Iterable[AttentionCall],
                 window: int) -> None:
        self.failure: BaseException | None = None  # of the caller's own source
        self._room = asyncio.Semaphore(window)
        self._unanswered = UnansweredCalls()
        self._exhausted = False
        self._streams = 0
        self._changed = asyncio.Event()  # any of that
        self._taking = asyncio.ensure_future(self._take(stream_of))

    def requests(self) -> AsyncIterator[Any]:
        """What the next stream sends: the calls without an answer, and then those of the source. From
        now on the streams before it send nothing more."""
        self._next_stream()
        self._unanswered.send_again()
        return self._requests_of(self._streams)

    def _next_stream(self) -> None:
        self._streams += 1
        self._changed.set()

    async def _requests_of(self, stream: int) -> AsyncIterator[Any]:
        while stream == self._streams:
            if self._unanswered.unsent:
                yield self._unanswered.unsent.popleft()
                continue
            if self.failure is not None:
                raise self.failure
            if self._exhausted:
                return
            self._changed.clear()
            await self._changed.wait()

    def answer(self, response: Any) -> None:
        self._unanswered.answer(response)
        self._room.release()

    def are_answered(self) -> bool:
        """Whether all were sent and answered."""
        return self._exhausted and not self._unanswered

    def end(self) -> None:
        self._taking.cancel()
        self._next_stream()  # there is none

    async def _take(self, stream_of: AsyncIterable[AttentionCall] | Iterable[AttentionCall]) -> None:
        try:
            if isinstance(stream_of, AsyncIterable):
                async for call in stream_of:
                    await self._add(call)
            else:
                for call in stream_of:
                    await self._add(call)
        except Exception as failure:
            self.failure = failure
        self._exhausted = True
        self._changed.set()

    async def _add(self, call: AttentionCall) -> None:
        await self._room.acquire()
        self._unanswered.add(call.message)
        self._changed.set()
