"""How both clients connect."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any

import grpc


@dataclass(frozen=True)
class Tls:
    """PEM files. ca: the roots of the server's certificate, None: those of the system; certificate
    and key: this client's, where the server asks for one; server_name: in the server's certificate,
    where that is not its address."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        def read(path: str | None) -> bytes | None:
            return None if path is None else pathlib.Path(path).read_bytes()

        return grpc.ssl_channel_credentials(read(self.ca), read(self.key), read(self.certificate))


def options(tls: Tls | None, more: tuple[tuple[str, Any], ...]) -> list[tuple[str, Any]]:
    """Messages of any size, load spread over all addresses of a name, no proxy from the
    environment, and a connection that is silent for long asked whether it still is one."""
    found: dict[str, Any] = {
        "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1,
        "grpc.lb_policy_name": "round_robin", "grpc.enable_http_proxy": 0,
        # Retries are ours. With gRPC's own, an answer without grpc-status ends the process (seen with
        # 1.51.1).
        "grpc.enable_retries": 0,
        # Servers of gRPC drop clients that ping more often than every 5 minutes.
        "grpc.keepalive_time_ms": 360_000}
    if tls is not None and tls.server_name is not None:
        found["grpc.ssl_target_name_override"] = tls.server_name
    found.update(more)
    return list(found.items())
