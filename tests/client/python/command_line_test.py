"""The command-line client reads NumPy's files, and NumPy reads its."""

import json
import pathlib
import subprocess
import tempfile

from running_server import BUILD, ServerTest, attention, np


class ArrayFiles(ServerTest):
    def attend(self, folder, request, *flags):
        file = folder / "request.json"
        file.write_text(json.dumps({"request": request}))
        subprocess.run([BUILD / "attention_client", "attend", file, f"--target={self.target}", *flags],
                       check=True, stdout=subprocess.DEVNULL)

    def test_tokens_come_from_a_file_and_results_go_to_one(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            tokens = np.random.default_rng(1).normal(size=(7, 8)).astype(np.float32)
            weights = {p: np.random.default_rng(2).normal(size=(8, 8)) for p in "qkv"}
            np.save(folder / "tokens.npy", tokens)
            np.savez_compressed(folder / "weights.npz", **weights)
            projections = {f"{p}_proj": f"weights.npz:{p}" for p in "qkv"}
            request = {"tokens": {"tokens": "tokens.npy", "projection_weights": projections},
                       "config": {"num_heads": 2},
                       "results": ["OUTPUT", "ATTENTION_WEIGHTS"]}
            self.attend(folder, request, f"--save={folder / 'results.npz'}")
            results = np.load(folder / "results.npz")
            self.assertEqual(sorted(results), ["attention_weights", "output"])
            output, _, attention_weights = attention(
                *(tokens @ weights[p].astype(np.float32) for p in "qkv"), 2)
            np.testing.assert_allclose(results["output"], output, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(results["attention_weights"][0], attention_weights,
                                       rtol=1e-4, atol=1e-6)

    def test_a_single_result_fits_a_npy_file(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            np.save(folder / "tokens.npy", np.eye(3, dtype=np.float16))
            self.attend(folder, {"tokens": {"tokens": "tokens.npy"}, "results": ["OUTPUT"]},
                        f"--save={folder / 'output.npy'}")
            output = np.load(folder / "output.npy")
            self.assertEqual((output.shape, output.dtype), ((3, 3), np.float16))
