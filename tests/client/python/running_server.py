"""For the tests in this folder: a real server, and attention in double precision to compare with."""

import os
import pathlib
import sys
import unittest

try:
    import grpc  # noqa: F401
    import numpy as np
except ImportError as missing:  # python3-grpcio, python3-protobuf and python3-numpy of Debian
    raise unittest.SkipTest(f"{missing.name} is not installed") from missing

import attention_client

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from server_process import Server  # noqa: E402

BUILD = pathlib.Path(os.environ["ATTENTION_BUILD"])


class ServerTest(unittest.TestCase):
    """One server for all tests of a class, and a client."""

    server_flags = ()  # beside those of every test

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server(BUILD, "--log_level=error", *cls.server_flags))
        cls.addClassCleanup(cls.stop)
        cls.target, cls.pid = cls.server.target, cls.server.pid
        cls.client = attention_client.AttentionClient(cls.target)
        cls.addClassCleanup(cls.client.close)

    @classmethod
    def stop(cls):
        if cls.server.stop() != 0:
            raise AssertionError(f"the server ended badly: {cls.server.log_text()}")


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def heads_of(tokens, num_heads):
    """[len, num_heads * dim] as [num_heads, len, dim]."""
    return tokens.reshape(len(tokens), num_heads, -1).transpose(1, 0, 2)


def attention(query, key, value, num_heads):
    """(output [q_len, num_heads * dim], scores, weights [num_heads, q_len, kv_len]), in float64."""
    q, k, v = (heads_of(x.astype(np.float64), num_heads) for x in (query, key, value))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    weights = softmax(scores)
    output = (weights @ v).transpose(1, 0, 2).reshape(len(query), -1)
    return output, scores, weights
