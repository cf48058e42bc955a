"""What memory arrays of 64 MiB cost the command-line client on their way between files and messages."""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

from running_server import BUILD, ServerTest, np

MIB = 1 << 20
ARRAY_BYTES = 64 * MIB
# The message and gRPC's serialised copy of it, and a little for blocks that are not filled.
MOST_COPIES = 2.1

# Linux counts the memory of the process that forks as its child's, so a small one starts the client.
RUN_AND_TELL_PEAK = """
import os, subprocess, sys
client = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(client.pid, 0)
client.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss)  # KiB
sys.exit(client.returncode)
"""


def save_safetensors(path, array):
    """[128, 131072] of float32, as "tokens"."""
    entry = {"dtype": "F32", "shape": array.shape, "data_offsets": [0, array.nbytes]}
    header = json.dumps({"tokens": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + array.tobytes())


class Memory(ServerTest):
    server_flags = ("--max_message_mib=128",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.small = np.random.default_rng(1).normal(size=(4096, 16)).astype(np.float32)
        np.save(cls.folder / "small.npy", cls.small)
        large = np.ones((128, ARRAY_BYTES // 4 // 128), np.float32)
        np.save(cls.folder / "large.npy", large)
        np.savez(cls.folder / "large.npz", tokens=large)
        save_safetensors(cls.folder / "large.safetensors", large)
        cls.base = cls.peak("attend", {"request": {
            "tokens": {"tokens": "small.npy"}, "query_indices": [0], "results": ["OUTPUT"]}})

    @classmethod
    def peak(cls, command, file, *flags):
        """The largest resident memory that the client had for this file, in bytes."""
        path = cls.folder / "request.json"
        path.write_text(json.dumps(file))
        run = subprocess.run(
            [sys.executable, "-c", RUN_AND_TELL_PEAK, BUILD / "attention_client", command, path,
             f"--target={cls.target}", "--max_message_mib=128", *flags],
            stdout=subprocess.PIPE, check=True)
        return int(run.stdout) * 1024

    def assert_copies(self, peak, what, most=MOST_COPIES):
        copies = (peak - self.base) / ARRAY_BYTES
        self.assertLessEqual(copies, most, what)
        self.assertGreater(copies, 0.9, f"{what}: no such array went through the client")

    def test_a_file_that_is_sent_is_in_memory_twice(self):
        for name in ("large.npy", "large.npz:tokens", "large.safetensors"):
            for command in ("attend", "explain"):
                with self.subTest(command, file=name):
                    request = {"tokens": {"tokens": name}, "results": ["ATTENTION_WEIGHTS"]}
                    self.assert_copies(self.peak(command, {"request": request}), name)

    def test_a_file_and_a_result_as_large_are_in_memory_three_times_in_all(self):
        # gRPC lets go of the copy that it sent when the call ends: with the request and the answer as
        # it was received that makes three.
        request = {"tokens": {"tokens": "large.npy"}, "results": ["OUTPUT"]}
        path = self.folder / "output.npy"
        peak = self.peak("attend", {"request": request}, f"--save={path}")
        self.assert_copies(peak, "attend", most=MOST_COPIES + 1)
        self.assertGreaterEqual(path.stat().st_size, ARRAY_BYTES)

    def test_supplied_weights_that_are_explained_are_in_memory_twice(self):
        np.save(self.folder / "weights.npy", np.full((4096, 4096), 1 / 4096, np.float32))
        np.save(self.folder / "value.npy", np.ones((4096, 1), np.float32))
        weighted = {"attention_weights": "weights.npy", "value": "value.npy"}
        self.assert_copies(self.peak("explain", {"request": {"weighted": weighted}}), "explain")

    def test_embeddings_that_an_encoder_gets_are_in_memory_twice(self):
        self.client.create_layer("narrow", encoder={
            "num_layers": 1, "d_model": 128, "num_heads": 1, "ffn_dim": 128, "max_len": 128})
        np.save(self.folder / "embeddings.npy", np.ones((131072, 128), np.float32))
        encode = {"layer": {"name": "narrow"}, "embeddings": "embeddings.npy",
                  "lens": [128] * 1024, "results": ["POOLED"]}
        self.assert_copies(self.peak("encode", {"encode": encode}), "encode")

    def test_a_result_that_is_saved_is_in_memory_twice(self):
        # bfloat16, whose numbers NumPy's files have as float32, by the length that makes 64 MiB.
        bits = (np.tile(self.small, (2, 1)).view(np.uint32) >> 16).astype(np.uint16).view("V2")
        for dtype, tokens in (("float32", self.small), ("bfloat16", bits[:5793])):
            np.save(self.folder / "typed.npy", tokens)
            request = {"tokens": {"tokens": "typed.npy"}, "results": ["ATTENTION_WEIGHTS"]}
            for name in ("saved.npy", "saved.npz", "saved.safetensors"):
                with self.subTest(file=name, dtype=dtype):
                    path = self.folder / name
                    peak = self.peak("attend", {"request": request}, f"--save={path}")
                    self.assert_copies(peak, name)
                    self.assertGreaterEqual(path.stat().st_size, 0.99 * ARRAY_BYTES)
