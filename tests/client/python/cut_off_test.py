"""Answers that a proxy, or a server that dies, cuts off: both clients tell them as Unavailable, and
call what only computes again."""

import asyncio
import unittest

import raw_server as raw
from running_server import np

import attention_client as ac
from attention_client import _protocol, errors

QUICK = ac.Retries(first_wait=0.001)


def echo(text):
    """A response with the request's id."""
    request = _protocol.message("ComputeAttentionRequest").FromString(text)
    response = _protocol.message("ComputeAttentionResponse")(request_id=request.request_id)
    return response.SerializeToString()


def whole(stream, text):
    return (raw.headers(stream) + raw.message(stream, echo(text))
            + raw.trailers(stream, ("grpc-status", "0")))


# Ways in which an answer is cut off: what comes behind its headers, and whether the connection closes.
ENDS = {
    "closed": (lambda stream: b"", True),
    "stream reset 0": (lambda stream: raw.reset(stream, 0), False),
    "stream reset 2": (lambda stream: raw.reset(stream, 2), False),
    "stream reset 8": (lambda stream: raw.reset(stream, 8), False),
    # The reset is of the other side, where that is still open.
    "no trailers": (lambda stream: raw.end_of_data(stream) + raw.reset(stream, 0), False),
    "no status": (lambda stream: raw.trailers(stream, ("x", "y")), False),
}
PARTS = {
    "after headers": lambda stream, text: b"",
    "in a message": lambda stream, text: raw.message(stream, b"abc", announced=100),
}
CUTS = {f"{end}, {part}": (lambda stream, text, begin=begin, finish=finish:
                           begin(stream, text) + finish(stream), closes)
        for end, (finish, closes) in ENDS.items() for part, begin in PARTS.items()}


class Aio:
    """The client for asyncio, called as the other one is."""

    _loop = asyncio.new_event_loop()

    def __init__(self, target, **options):
        async def make():
            return ac.aio.AttentionClient(target, **options)

        self._client = self._loop.run_until_complete(make())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loop.run_until_complete(self._client.close())

    def stream(self, *args, **options):
        async def run():
            return [result async for result in self._client.stream(*args, **options)]

        return iter(self._loop.run_until_complete(run()))

    def __getattr__(self, name):
        return lambda *args, **options: self._loop.run_until_complete(
            getattr(self._client, name)(*args, **options))


CLIENTS = (ac.AttentionClient, Aio)


def call(request_id):
    return ac.tokens_call([[1.0]], request_id=request_id)


class CutOff(unittest.TestCase):
    def each(self, check):
        for client in CLIENTS:
            for name, (body, closes) in CUTS.items():
                with self.subTest(f"{client.__name__}, {name}"):
                    check(client, body, closes)

    def test_is_unavailable_and_the_call_is_made_again(self):
        def check(client, body, closes):
            def cut(stream, text):
                return raw.headers(stream) + body(stream, text), closes

            with raw.RawServer(lambda _, *of: cut(*of)) as server, \
                    client(server.target, retries=ac.Retries(attempts=2, first_wait=0.001)) as one:
                with self.assertRaises(ac.Unavailable):
                    one.compute(call("a"))
                self.assertEqual(server.messages, 2)
            with raw.RawServer(lambda number, *of: cut(*of) if number < 2 else (whole(*of), False)) \
                    as server, client(server.target, retries=QUICK) as one:
                self.assertEqual(one.compute(call("mine")).request_id, "mine")
                self.assertEqual(server.messages, 3)

        self.each(check)

    def test_of_a_change_is_not_made_again_and_says_what_may_have_happened(self):
        state = {"q_proj": np.eye(2, dtype=np.float32)}
        changes = (lambda one: one.create_layer("a", attention={"d_model": 2}),
                   lambda one: one.delete_layer("a"),
                   lambda one: one.upload_layer("a", state, {"format": "attention"}))

        def check(client, body, closes):
            calls = []  # by their streams: an upload is one of several messages

            def answer(number, stream, text):
                if stream in calls:
                    return b"", False
                calls.append(stream)
                return raw.headers(stream) + body(stream, b""), closes

            for change in changes:
                calls.clear()
                with raw.RawServer(answer) as server, client(server.target, retries=QUICK) as one:
                    with self.assertRaisesRegex(ac.Unavailable, "may or may not have been changed"):
                        change(one)
                    self.assertEqual(len(calls), 1)

        self.each(check)

    def test_on_a_stream_is_of_the_calls_without_an_answer_which_are_made_again(self):
        def check(client, body, closes):
            received, current, over = [], [0], [0]

            def answer(number, stream, text):
                if stream == over[0]:
                    return b"", False  # it was on its way when the stream was cut off
                name = echo(text)
                received.append(_protocol.message("ComputeAttentionResponse").FromString(name).request_id)
                begins = b"" if stream == current[0] else raw.headers(stream)
                current[0] = stream
                if received[-1] == "second" and received.count("second") == 1:
                    current[0], over[0] = 0, 0 if closes else stream
                    return begins + body(stream, text), closes
                last = raw.trailers(stream, ("grpc-status", "0")) if received[-1] == "third" else b""
                return begins + raw.message(stream, name) + last, False

            with raw.RawServer(answer) as server, client(server.target, retries=QUICK) as one:
                ids = ["first", "second", "third"]
                results = one.stream((call(name) for name in ids), window=1, timeout=30)
                self.assertEqual([result.request_id for result in results], ids)
                self.assertEqual(received, ["first", "second", "second", "third"])

        self.each(check)

    def test_calls_of_a_stream_may_have_the_same_id_or_none(self):
        def answer(number, stream, text):
            if number < 3:  # all three are on their way
                return raw.reset(stream, 2) if number == 2 else b"", False
            begins = raw.headers(stream) if number == 3 else b""
            last = raw.trailers(stream, ("grpc-status", "0")) if number == 5 else b""
            return begins + raw.message(stream, echo(text)) + last, False

        for client in CLIENTS:
            for name in ("", "same"):
                with raw.RawServer(answer) as server, client(server.target, retries=QUICK) as one:
                    results = list(one.stream([call(name)] * 3, timeout=30))
                    self.assertEqual([result.request_id for result in results], [name] * 3)

    def test_a_status_of_the_servers_own_stays(self):
        own = {"2": "UNKNOWN", "13": "INTERNAL"}
        for client in CLIENTS:
            for status, name in own.items():
                with raw.RawServer(lambda _, stream, text: (raw.headers_that_end(
                        stream, ("grpc-status", status), ("grpc-message", "mine")), False)) as server:
                    with client(server.target, retries=QUICK) as one:
                        with self.assertRaisesRegex(ac.AttentionError, f"{name}: mine"):
                            one.compute(call("a"))
                        self.assertEqual(server.messages, 1)

    def test_the_timeout_counts_over_all_attempts(self):
        with raw.RawServer(lambda *_: (b"", True)) as server:
            for client in CLIENTS:
                with client(server.target, retries=ac.Retries(first_wait=1000, most_wait=1000)) as one:
                    before = server.messages
                    with self.assertRaises(ac.Unavailable):
                        one.compute(call("a"), timeout=0.5)
                    self.assertLessEqual(server.messages, before + 2)

    def test_words_of_newer_releases(self):
        codes = errors.grpc.StatusCode
        for code, words in (
                (codes.UNKNOWN, "Stream removed (Data frame with END_STREAM flag received)"),
                (codes.INTERNAL,
                 "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"),
                (codes.CANCELLED, "Received RST_STREAM with error code 8")):
            self.assertTrue(errors.is_cut_off(code, words))
        for code, words in ((codes.UNKNOWN, "I lost a Stream removed"),
                            (codes.INTERNAL, "Received RST_STREAM with error code 12"),
                            (codes.CANCELLED, "Locally cancelled by application!")):
            self.assertFalse(errors.is_cut_off(code, words))


if __name__ == "__main__":
    unittest.main()
