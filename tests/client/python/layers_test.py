"""Stored layers through the Python client."""

import json
import pathlib
import tempfile
import unittest

from running_server import ServerTest, attention, np

import attention_client as ac

CONFIG = {"format": "attention", "num_heads": 2}


class Layers(ServerTest):
    def setUp(self):
        random = np.random.default_rng(1)
        self.tokens = random.normal(size=(5, 8)).astype(np.float32)
        self.state = {f"{name}_proj": random.normal(size=(8, 8)).astype(np.float32)
                      for name in "qkv"}

    def test_a_state_dict_is_uploaded_and_called(self):
        layer = self.client.upload_layer("state", self.state, CONFIG)
        self.assertEqual((layer.name, layer.version, layer.kind), ("state", 1, "attention"))
        self.assertEqual(layer.sizes["head_dim"], 4)
        got = self.client.compute_attention(self.tokens, layer="state")
        query, key, value = (self.tokens @ self.state[f"{name}_proj"] for name in "qkv")
        np.testing.assert_allclose(got.output, attention(query, key, value, 2)[0], atol=1e-5)
        with_weights = self.client.compute_attention(self.tokens, weights=self.state, num_heads=2)
        self.assertEqual(got.output.tobytes(), with_weights.output.tobytes())

    def test_a_file_is_the_same_layer(self):
        from attention_client import layer_files

        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "config.json").write_text(json.dumps(CONFIG))
            parts = layer_files.upload_parts("x", self.state, CONFIG)
            (folder / "model.safetensors").write_bytes(b"".join(p.chunk for p in parts))
            first = self.client.upload_layer("file", folder / "model.safetensors")
            again = self.client.upload_layer("file", self.state, CONFIG)
        self.assertEqual((first.version, again.version), (1, 1))

    def test_a_pytorch_checkpoint_says_how_it_is_uploaded(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "config.json").write_text(json.dumps(CONFIG))
            with self.assertRaises(FileNotFoundError) as missing:
                self.client.upload_layer("torch", folder / "model.safetensors")
            self.assertNotIn("torch.load", str(missing.exception))
            (folder / "pytorch_model.bin").write_bytes(b"PK\3\4 and more")
            for file in ("model.safetensors", "pytorch_model.bin"):
                with self.assertRaisesRegex(ValueError, "pytorch_model.bin is a PyTorch checkpoint") as raised:
                    self.client.upload_layer("torch", folder / file)
                self.assertIn("torch.load(", str(raised.exception))

    def test_layers_are_listed_and_deleted(self):
        made = self.client.create_layer("made", attention={"d_model": 8, "num_heads": 2}, seed=3)
        self.assertEqual(self.client.compute_attention(self.tokens, layer=made).output.shape, (5, 8))
        self.assertEqual(self.client.get_layer(("made", 1)).sha256, made.sha256)
        self.assertIn("made", [layer.name for layer in self.client.list_layers()])
        self.client.delete_layer("made")
        with self.assertRaises(ac.NotFound):
            self.client.get_layer("made")

    def test_a_damaged_file_says_what_is_wrong(self):
        with self.assertRaisesRegex(ac.InvalidArgument, "\"k_proj\" is missing"):
            self.client.upload_layer("bad", {"q_proj": self.state["q_proj"]}, CONFIG)
        with self.assertRaisesRegex(TypeError, "needs its config"):
            self.client.upload_layer("bad", self.state)

    def test_an_encoder_encodes(self):
        self.client.create_layer("encoder", encoder={
            "d_model": 8, "num_heads": 2, "num_layers": 2, "vocabulary": 50,
            "positions": "sinusoidal", "max_len": 4})
        got = self.client.encode("encoder", [[1, 2, 3], [4]],
                                 probes=[{"layer": 1, "results": ["attention_weights"]}])
        self.assertEqual(got.pooled.shape, (2, 8))
        self.assertEqual([h.shape for h in got.hidden_states], [(3, 8), (1, 8)])
        self.assertEqual((got.lens, got.layer), ([3, 1], ("encoder", 1)))
        self.assertEqual(got.probes[0].attention_weights.shape, (2 * 9 + 2,))
        one = self.client.encode("encoder", [1, 2, 3], results=["pooled"])
        self.assertEqual(one.pooled[0].tobytes(), got.pooled[0].tobytes())
        with self.assertRaises(ac.InvalidArgument):
            self.client.encode("encoder", [1, 2, 3, 4, 5])
        self.assertEqual(self.client.encode("encoder", [1, 2, 3, 4, 5], truncate=True).lens, [4])
        arrays = self.client.encode("encoder", np.array([[1, 2], [3, 4]]), type_ids=None)
        self.assertEqual(arrays.lens, [2, 2])
        with self.assertRaisesRegex(TypeError, "lens are of embeddings"):
            self.client.encode("encoder", [1, 2, 3], lens=[2, 1])
        with self.assertRaises(TypeError):
            self.client.encode("encoder", [1.5])
        with self.assertRaises(ac.InvalidArgument):
            self.client.encode("encoder", [1, 2], type_ids=[0, 1])
        with self.assertRaisesRegex(TypeError, "texts need tokenizer="):
            self.client.encode("encoder", ["a text"])

    def test_texts_are_tokenized(self):
        try:
            import tokenizers
        except ImportError:
            self.skipTest("the package tokenizers is not installed")
        words = tokenizers.Tokenizer(tokenizers.models.WordLevel(
            {"[UNK]": 0, "jim": 1, "likes": 2, "football": 3}, unk_token="[UNK]"))
        words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        words.enable_padding(length=8)  # as sentence-transformers' files do
        self.client.create_layer("words", encoder={"d_model": 8, "vocabulary": 4})
        texts = self.client.encode("words", ["jim likes football", "jim"], tokenizer=words)
        ids = self.client.encode("words", [[1, 2, 3], [1]])
        self.assertEqual(texts.pooled.tobytes(), ids.pooled.tobytes())

    def test_pytorch_gives_the_same(self):
        try:
            import torch
        except ImportError:
            self.skipTest("torch is not installed")
        torch.manual_seed(1)
        module = torch.nn.MultiheadAttention(32, 4, batch_first=True).eval()
        tokens = torch.randn(2, 7, 32)
        with torch.no_grad():
            output, weights = module(tokens, tokens, tokens, average_attn_weights=False)
        self.client.upload_layer("torch", module.state_dict(), {
            "format": "torch.nn.MultiheadAttention", "num_heads": 4})
        stored = self.client.compute_attention(tokens, layer="torch")
        sent = self.client.compute_attention(
            tokens, weights=ac.ProjectionWeights.from_torch(module))
        for got in (stored, sent):
            np.testing.assert_allclose(got.output, output.numpy(), atol=1e-5)
            np.testing.assert_allclose(got.attention_weights, weights.numpy(), atol=1e-5)
        more_keys = torch.nn.MultiheadAttention(32, 4, add_bias_kv=True)
        with self.assertRaisesRegex(ValueError, "adds keys"):
            ac.ProjectionWeights.from_torch(more_keys)


if __name__ == "__main__":
    unittest.main()
