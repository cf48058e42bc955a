"""Peers that flood, stall and send garbage: others are served as before, and nothing is left."""

import contextlib
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from server import ENCODER, Row, Server, Skipped, create_layer, load, wait_until

# HTTP/2 as far as an attacker needs it (RFC 9113, and of RFC 7541 literals alone).

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def hpack_length(length):
    if length < 127:
        return bytes([length])
    encoded, rest = b"\x7f", length - 127
    while rest >= 128:
        encoded += bytes([rest % 128 + 128])
        rest //= 128
    return encoded + bytes([rest])


def hpack(headers):
    return b"".join(b"\0" + hpack_length(len(name)) + name.encode() + hpack_length(len(value)) +
                    value.encode() for name, value in headers)


def call_of(path):
    return [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
            ("content-type", "application/grpc"), ("te", "trailers")]


CALL = call_of("/attention.v1.AttentionService/ComputeAttention")
UPLOAD = call_of("/attention.v1.LayerService/UploadLayer")


def field(number, value):
    """Of a protobuf message: bytes, or a number below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    length = len(value)
    head = bytes([number << 3 | 2])
    while length >= 128:
        head += bytes([length % 128 + 128])
        length //= 128
    return head + bytes([length]) + value


class Attack:
    """Runs `step` again and again, `per_second` times at most, until the with statement ends. What
    it opens with connect() stays open until then."""

    def __init__(self, server, per_second):
        host, port = server.target.rsplit(":", 1)
        self.address = (host, int(port))
        self.pause = 1 / per_second
        self.sockets = []
        self.steps = 0  # that were made
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def connect(self):
        one = socket.create_connection(self.address, timeout=5)
        self.sockets.append(one)
        return one

    def work(self):
        while not self.end.wait(self.pause):
            with contextlib.suppress(OSError):  # the server may hang up at any time
                self.step()
                self.steps += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        for one in self.sockets:
            one.close()


class ConnectionFlood(Attack):
    """connects and hangs up, 300 times a second"""

    rate = 300

    def step(self):
        socket.create_connection(self.address, timeout=5).close()


class SilentConnections(Attack):
    """connects and says nothing, 100 times a second"""

    rate = 100

    def step(self):
        self.connect()


class Garbage(Attack):
    """sends 2 KiB of chance bytes, half of the times behind a good preface, 100 times a second"""

    rate = 100

    def step(self):
        start = PREFACE if len(self.sockets) % 2 else b""
        self.connect().sendall(start + os.urandom(2048))


class IdleStreams(Attack):
    """opens 1000 calls on one connection and sends no message; a new connection each second"""

    rate = 1

    def step(self):
        calls = b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, hpack(CALL)) for i in range(1000))
        self.connect().sendall(PREFACE + frame(SETTINGS, 0, 0) + calls)


class OversizedMetadata(Attack):
    """sends a call with 1 MiB of metadata, 10 times a second"""

    rate = 10
    block = hpack(CALL + [("x-large", "a" * (1 << 20))])

    def step(self):
        parts = [self.block[i:i + 16384] for i in range(0, len(self.block), 16384)]
        frames = frame(HEADERS, 0, 1, parts[0])
        frames += b"".join(frame(CONTINUATION, 0, 1, part) for part in parts[1:-1])
        frames += frame(CONTINUATION, END_HEADERS, 1, parts[-1])
        self.connect().sendall(PREFACE + frame(SETTINGS, 0, 0) + frames)


class Slowloris(Attack):
    """sends calls byte by byte, on 100 connections"""

    rate = 200
    text = PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, hpack(CALL))
    sent = 0

    def step(self):
        if len(self.sockets) < 100:
            self.connect()
            return
        byte = self.sent // 100 % len(self.text)
        self.sockets[self.sent % 100].sendall(self.text[byte:byte + 1])
        self.sent += 1


class StalledReader(Attack):
    """asks for 2 MiB of scores and weights and does not read them, 10 times a second"""

    rate = 10
    # TokensSource.tokens: float32, [512, 1]
    tensor = field(1, 1) + field(2, b"\x80\x04\x01") + field(3, b"\0" * 2048)
    request = field(2, field(1, tensor))
    message = b"\0" + struct.pack(">I", len(request)) + request

    def step(self):
        self.connect().sendall(PREFACE + frame(SETTINGS, 0, 0) +
                               frame(HEADERS, END_HEADERS, 1, hpack(CALL)) +
                               frame(DATA, END_STREAM, 1, self.message))


class StalledUpload(Attack):
    """begins to upload a layer and sends nothing of it, 20 times a second"""

    rate = 20

    def step(self):
        self.connect().sendall(PREFACE + frame(SETTINGS, 0, 0) +
                               frame(HEADERS, END_HEADERS, 1, hpack(UPLOAD)))


class HalfOpenTls(Attack):
    """begins handshakes and does not go on, 100 times a second"""

    rate = 100
    # The header of a record that announces a ClientHello of 512 bytes, and the first of them.
    hello = bytes.fromhex("1603010200010001fc0303")

    def step(self):
        self.connect().sendall(self.hello)


PLAIN = [ConnectionFlood, SilentConnections, Garbage, IdleStreams, OversizedMetadata, Slowloris,
         StalledReader, StalledUpload]


def compare(build, server, attack, seconds, rounds, **options):
    """Calls answered a second and p50, under attack against without, in turns: medians of ratios;
    failures of those calls; how often the attacker made its step, at least."""
    rates, latencies, failures = [], [], {}
    steps = []
    for _ in range(rounds):
        quiet = load(build, server, duration_s=seconds, warm_up_s=0.3, **options)
        with attack(server, attack.rate) as attacker:
            time.sleep(0.3)
            loud = load(build, server, duration_s=seconds, warm_up_s=0.3, **options)
        rates.append(loud["answered_per_s"] / quiet["answered_per_s"])
        latencies.append(loud["latency"]["p50_ms"] / quiet["latency"]["p50_ms"])
        failures |= quiet["failures"] | loud["failures"]
        steps.append(attacker.steps)
    middle = rounds // 2
    return sorted(rates)[middle], sorted(latencies)[middle], failures, min(steps)


def rows_of(build, server, attacks, long, **options):
    seconds, rounds = (3, 3) if long else (1, 1)
    # At about half of what the server can do: the attackers need the machine's CPUs too.
    most = load(build, server, duration_s=2, callers=4, **options)["answered_per_s"]
    options["rate"] = most / 2
    for attack in attacks:
        rate, latency, failures, steps = compare(build, server, attack, seconds, rounds, **options)
        yield Row(f"a peer {attack.__doc__}: calls answered, of others",
                  "within 10 %", f"{rate:.2f} x, p50 {latency:.2f} x",
                  rate >= 0.9 and latency <= 1.1 and not failures)
        if failures or steps == 0:
            yield Row("calls of others", "none fails under a real attack",
                      f"{failures}, {steps} steps of the attack", False, must=True)
    yield Row("after all of them: the server runs, and their connections end", "yes",
              f"{server.resident_mib():.0f} MiB",
              server.runs() and wait_until(lambda: server.open_files() < 60, 60), must=True)
    stopped = server.stop()
    yield Row("SIGTERM then", "exit code 0", f"{stopped}", stopped == 0, must=True)


def make_certificate(folder):
    """A self-signed certificate of localhost."""
    if shutil.which("openssl") is None:
        raise Skipped("openssl is not installed")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                    folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)


def run(build, long):
    shape = {"layer": "encoder", "lengths": 16}
    with Server(build) as server:
        create_layer(build, server, ENCODER)
        rows = list(rows_of(build, server, PLAIN, long, **shape))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_certificate(folder)
        flags = [f"--tls_cert={folder}/cert.pem", f"--tls_key={folder}/key.pem"]
        trust = {"tls_ca": f"{folder}/cert.pem", "tls_server_name": "localhost"}
        with Server(build, *flags) as server:
            create_layer(build, server, ENCODER, *(f"--{k}={v}" for k, v in trust.items()))
            rows += rows_of(build, server, [HalfOpenTls], long, **shape, **trust)
    return rows
