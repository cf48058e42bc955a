#!/usr/bin/python3
"""A gRPC server in Python that computes the same attention as attention_server, for comparison.

    PYTHONPATH=build/release/python tests/bench/peers/peer_server.py --backend=torch --layer_dir=DIR

Prints `listening on HOST:PORT` once calls are welcome. What it answers: peer_service.py. SIGTERM ends it.
Exit codes: 0 stopped as asked, 2 wrong usage, 77 a package is not installed.
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import importlib
import os
import signal
import sys
import threading

NOT_INSTALLED = 77

# Tensors may be larger than the 4 MiB that gRPC takes by default.
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=("numpy", "torch"), required=True)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--layer_dir", help="folder with NAME/model.safetensors and NAME/config.json")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="compute threads, in all")
    parser.add_argument("--workers", type=int, default=0,
                        help="calls that are computed at a time; 0: as many as threads")
    parser.add_argument("--share", action="store_true",
                        help="a call alone gets all compute threads; else each threads / workers")
    parser.add_argument("--loop", choices=("threads", "asyncio"), default="threads",
                        help="grpc.server with a pool of threads, or grpc.aio")
    parser.add_argument("--versions", action="store_true", help="only tells what it runs on")
    return parser.parse_args()


class Share:
    """Shares out compute threads: a call that is computed alone gets all of them."""

    def __init__(self, backend, threads):
        self._backend, self._threads = backend, threads
        self._lock = threading.Lock()
        self._calls = 0

    @contextlib.contextmanager
    def __call__(self):
        with self._lock:
            self._calls += 1
            self._backend.set_threads(max(1, self._threads // self._calls))
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1


def handlers(methods, wrapped):
    """Of gRPC, each function as `wrapped` makes it."""
    import grpc

    by_service = {}
    for service, name, function, request, response in methods:
        by_service.setdefault(service, {})[name] = grpc.unary_unary_rpc_method_handler(
            wrapped(function), request.FromString, response.SerializeToString)
    return [grpc.method_handlers_generic_handler(*item) for item in by_service.items()]


def say_where(port):
    print(f"listening on 127.0.0.1:{port}", flush=True)


def serve_with_threads(port, methods, workers):
    import grpc
    from peer_service import Refused

    def wrapped(function):
        def handle(request, context):
            try:
                return function(request)
            except Refused as why:
                context.abort(why.code, why.text)
        return handle

    pool = concurrent.futures.ThreadPoolExecutor(workers)
    server = grpc.server(pool, handlers(methods, wrapped), options=OPTIONS)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=1))
    server.start()
    say_where(bound)
    server.wait_for_termination()


async def serve_with_asyncio(port, methods, workers):
    import grpc
    from peer_service import Refused, is_small

    pool = concurrent.futures.ThreadPoolExecutor(workers)
    loop = asyncio.get_running_loop()

    def wrapped(function):
        async def handle(request, context):
            try:
                if workers == 1 or is_small(request):
                    return function(request)
                return await loop.run_in_executor(pool, function, request)
            except Refused as why:
                await context.abort(why.code, why.text)
        return handle

    server = grpc.aio.server(None, handlers(methods, wrapped), options=OPTIONS)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    loop.add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(server.stop(grace=1)))
    await server.start()
    say_where(bound)
    await server.wait_for_termination()


def main():
    options = arguments()
    workers = options.workers or options.threads
    each = options.threads if options.share else max(1, options.threads // workers)
    # Read when BLAS is loaded.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(each)
    try:
        backend = importlib.import_module(f"{options.backend}_attention")
        import peer_service
    except ModuleNotFoundError as missing:
        print(f"{missing.name} is not installed", file=sys.stderr)
        return NOT_INSTALLED
    backend.set_threads(each)
    if options.versions:
        print(f"{backend.versions()}; {peer_service.versions()}")
        return 0

    share = Share(backend, options.threads) if options.share else contextlib.nullcontext
    methods = peer_service.methods(peer_service.Service(backend, options.layer_dir, share))
    if options.loop == "threads":
        serve_with_threads(options.port, methods, workers)
    else:
        asyncio.run(serve_with_asyncio(options.port, methods, workers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
