"""The peers of the comparison answer as attention_server does, and attention_loadtest drives them.

A peer whose packages are missing is skipped with a word.
"""

import pathlib
import sys
import tempfile
import unittest

import sides

try:
    import grpc  # noqa: F401
    import numpy as np
except ImportError as missing:  # python3-grpcio, python3-protobuf and python3-numpy of Debian
    raise unittest.SkipTest(f"{missing.name} is not installed") from missing

import attention_client as ac
from server import Server, load

import mha_layer

ALL = ["output", "attention_scores", "attention_weights"]
D_MODEL, NUM_HEADS = 24, 3


class Peers:
    """The tests, of one backend each."""

    backend = ""

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        mha_layer.make(pathlib.Path(folder) / "mha", D_MODEL, NUM_HEADS)
        flags = ["--threads=2", f"--layer_dir={folder}"]
        try:
            cls.peer = cls.enterClassContext(sides.Peer(sys.executable, cls.backend, *flags))
        except sides.NotInstalled as why:
            raise unittest.SkipTest(str(why)) from None
        ours = cls.enterClassContext(Server(sides.BUILD, "--log_level=error", *flags))
        cls.ours = cls.enterClassContext(ac.AttentionClient(ours.target))
        cls.theirs = cls.enterClassContext(ac.AttentionClient(cls.peer.target))

    def assert_same(self, length, width, results, **options):
        tokens = np.random.default_rng(length).normal(size=(length, width)).astype(np.float32)
        want, got = (client.compute_attention(tokens, results=results, request_id="x", **options)
                     for client in (self.ours, self.theirs))
        self.assertEqual(got.request_id, "x")
        for name in ALL:
            mine, other = getattr(want, name), getattr(got, name)
            if mine is None:
                self.assertIsNone(other, name)
                continue
            self.assertEqual(other.shape, mine.shape, name)
            self.assertLessEqual(sides.difference(other, mine), sides.TOLERANCE, (name, length))

    def test_the_simplified_attention(self):
        for length, width in ((1, 1), (8, 3), (128, 64), (333, 17)):
            for results in (["output"], ALL, [], ["attention_weights"]):
                self.assert_same(length, width, results)

    # 300 and 600 are longer than what numpy computes of all heads at a time.
    def test_a_stored_layer(self):
        for length in (1, 2, 17, 128, 300, 600):
            for results in (["output"], ALL):
                self.assert_same(length, D_MODEL, results, layer="mha")

    def test_what_a_layer_is(self):
        got, want = (client.get_layer("mha") for client in (self.theirs, self.ours))
        for field in ("name", "version", "kind", "format", "d_model", "num_heads"):
            self.assertEqual(getattr(got, field), getattr(want, field))

    def test_what_it_has_not_is_refused(self):
        tokens = np.ones((2, D_MODEL), np.float32)
        with self.assertRaises(ac.NotFound):
            self.theirs.compute_attention(tokens, layer="other")
        for options in ({"scale": 1.0}, {"context": tokens}, {"results": ["query"]},
                        {"query_indices": [0]}, {"weights": {"q_proj": tokens}}):
            with self.assertRaises(ac.InvalidArgument):
                self.theirs.compute_attention(tokens, **options)
        for wrong in (tokens[:, 1:], tokens.astype(np.float64), tokens[None]):
            with self.assertRaises(ac.InvalidArgument):
                self.theirs.compute_attention(wrong, layer="mha")

    def test_the_load_tester_drives_it(self):
        for flags in ([], ["--scores"], ["--layer=mha"]):
            found = load(sides.BUILD, self.peer, "--verify", *flags, callers=4, warm_up_s=0.1,
                         duration_s=0.3, lengths=16)
            self.assertEqual((set(found["by_code"]), found["wrong"]), ({"OK"}, 0), found["failures"])
            self.assertGreater(found["server_cpu_ms_per_call"], 0)


class Numpy(Peers, unittest.TestCase):
    backend = "numpy"


class Torch(Peers, unittest.TestCase):
    backend = "torch"


if __name__ == "__main__":
    unittest.main()
