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
from .calls import AttentionCall, Layer, ProjectionWeights
from .errors import Cancelled, from_rpc_error
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
                 timeout: float | None = 60.0, options: Sequence[tuple[str, Any]] = ()) -> None:
        arguments = _channel.options(tls, tuple(options))
        if tls is None:
            self._channel = grpc.aio.insecure_channel(target, arguments)
        else:
            self._channel = grpc.aio.secure_channel(target, tls.credentials(), arguments)
        self._timeout = timeout
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
        room = asyncio.Semaphore(window)
        failures: list[BaseException] = []  # of the caller's own source
        ended = False

        async def calls_of() -> AsyncIterator[AttentionCall]:
            if isinstance(stream_of, AsyncIterable):
                async for call in stream_of:
                    yield call
            else:
                for call in stream_of:
                    yield call

        async def requests() -> AsyncIterator[Any]:
            try:
                async for call in calls_of():
                    await room.acquire()
                    if ended:
                        return
                    yield call.message
            except Exception as failure:
                failures.append(failure)
                raise

        rpc = self._methods.of(_requests.STREAM_ATTENTION, self._channel.stream_stream)(
            requests(), timeout=timeout)
        try:
            async for response in rpc:
                room.release()
                yield AttentionResult.of(response)
        except (grpc.RpcError, asyncio.CancelledError) as error:
            raise (failures[0] if failures else self._failure(error)) from None
        finally:  # also where nobody wants the others
            ended = True
            room.release()
            rpc.cancel()

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
            raise (parts.failure or self._failure(error)) from None

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
        limit = self._timeout if timeout is None else timeout
        try:
            return result_of(await call(request, timeout=_requests.layer_timeout(timeout)))
        except (grpc.RpcError, asyncio.CancelledError) as error:
            raise self._failure(error) from None

    def _failure(self, error: BaseException) -> BaseException:
        """Closing the client cancels its calls, which is not to be taken for the caller's task."""
        if isinstance(error, grpc.RpcError):
            return from_rpc_error(error)
        return Cancelled("the client was closed") if self._closed else error
