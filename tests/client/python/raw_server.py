"""A server that answers with frames of HTTP/2 (RFC 9113) as a gRPC server sends them, or as one does
not."""

import socket
import struct
import threading

DATA, HEADERS, RESET_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
ACK = END_STREAM = 1
END_HEADERS = 4


def frame(kind, flags, stream, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            + payload)


def packed(fields):
    """HPACK (RFC 7541): literals that no table keeps, of less than 127 bytes each."""
    return b"".join(b"\0" + b"".join(bytes([len(part)]) + part.encode() for part in field)
                    for field in fields)


_BEGINNING = b"\x88" + packed([("content-type", "application/grpc")])  # ":status: 200"


def headers(stream):
    return frame(HEADERS, END_HEADERS, stream, _BEGINNING)


def headers_that_end(stream, *fields):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, _BEGINNING + packed(fields))


def trailers(stream, *fields):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, packed(fields))


def message(stream, text, announced=None):
    size = len(text) if announced is None else announced
    return frame(DATA, 0, stream, b"\0" + size.to_bytes(4, "big") + text)


def end_of_data(stream):
    return frame(DATA, END_STREAM, stream)


def reset(stream, code):
    return frame(RESET_STREAM, 0, stream, code.to_bytes(4, "big"))


class RawServer:
    """On a free port of the loopback interface. answer(number, stream, message) of each message that
    comes says (bytes, whether the connection is closed behind them)."""

    def __init__(self, answer):
        self._answer = answer
        self._lock = threading.Lock()
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.messages = 0
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as file:
            try:
                self._read_frames(connection, file)
            except OSError:
                pass  # the client has left

    def _read_frames(self, connection, file):
        file.read(24)  # the preface
        connection.sendall(frame(SETTINGS, 0, 0))
        unread = {}
        while len(head := file.read(9)) == 9:
            payload = file.read(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind in (SETTINGS, PING) and not flags & ACK:
                connection.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            if kind != DATA:
                continue
            text = unread.pop(stream, b"") + payload
            while len(text) >= 5 and len(text) >= 5 + struct.unpack(">I", text[1:5])[0]:
                end = 5 + struct.unpack(">I", text[1:5])[0]
                with self._lock:
                    number = self.messages
                    self.messages += 1
                    answer, closes = self._answer(number, stream, text[5:end])
                connection.sendall(answer)
                if closes:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                text = text[end:]
            unread[stream] = text
