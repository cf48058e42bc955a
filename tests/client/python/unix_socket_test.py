"""Both Python clients over the server's Unix socket."""

import asyncio
import os
import pathlib
import sys
import tempfile
import unittest

from running_server import BUILD, np

import attention_client as ac
import attention_client.aio

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from server_process import Listener  # noqa: E402


class UnixSocket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.path = folder / "attention.sock"
        server = cls.enterClassContext(Listener(
            [BUILD / "attention_server", "--port=-1", f"--unix_socket={cls.path}", "--log_level=error"]))
        cls.addClassCleanup(server.stop)
        cls.target = server.target

    def test_the_line_that_the_server_prints_is_a_target(self):
        self.assertEqual(self.target, f"unix:{self.path}")

    def test_calls_are_answered(self):
        with ac.AttentionClient(self.target) as client:
            got = client.compute_attention(np.eye(3, dtype=np.float32))
        self.assertEqual(got.output.shape, (3, 3))

    def test_calls_from_asyncio_are_answered(self):
        async def call():
            async with ac.aio.AttentionClient(self.target) as client:
                return await client.compute_attention(np.eye(3, dtype=np.float32))

        self.assertEqual(asyncio.run(call()).output.shape, (3, 3))

    def test_nobody_listens_on_another_one(self):
        with ac.AttentionClient(f"unix:{self.path}{os.getpid()}", timeout=10) as client:
            with self.assertRaises(ac.Unavailable):
                client.compute_attention(np.eye(3, dtype=np.float32))


if __name__ == "__main__":
    unittest.main()
