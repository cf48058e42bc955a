"""A torch.nn.MultiheadAttention on disk, as attention_server and both peers read it: its state_dict as
model.safetensors, and a config.json beside it."""

import json
import pathlib

import numpy as np


def make(folder, d_model, num_heads, seed=1):
    """Writes a layer of random weights as PyTorch initializes them, but with biases that are not 0."""
    random = np.random.default_rng(seed)

    def uniform(bound, *shape):
        return random.uniform(-bound, bound, shape).astype("<f4")

    # PyTorch's matrices are [out, in].
    state = {"in_proj_weight": uniform((6 / (4 * d_model)) ** 0.5, 3 * d_model, d_model),
             "in_proj_bias": uniform(d_model**-0.5, 3 * d_model),
             "out_proj.weight": uniform(d_model**-0.5, d_model, d_model),
             "out_proj.bias": uniform(d_model**-0.5, d_model)}
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    _write(folder / "model.safetensors", state)
    (folder / "config.json").write_text(
        json.dumps({"format": "torch.nn.MultiheadAttention", "num_heads": num_heads}))


def _write(path, state):
    """Of the format: 8 bytes with the length of a JSON header, the header, the tensors' bytes."""
    header, offset = {}, 0
    for name, array in state.items():
        header[name] = {"dtype": "F32", "shape": array.shape,
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text
                     + b"".join(array.tobytes() for array in state.values()))


def read(folder):
    """(state_dict of numpy arrays, num_heads). ValueError for another kind of layer."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    if config.get("format") != "torch.nn.MultiheadAttention":
        raise ValueError(f"{folder} has the format {config.get('format')!r}; want "
                         "'torch.nn.MultiheadAttention'")
    file = np.fromfile(folder / "model.safetensors", np.uint8)
    begin = 8 + int.from_bytes(file[:8].tobytes(), "little")
    state = {}
    for name, tensor in json.loads(file[8:begin].tobytes()).items():
        if name == "__metadata__":
            continue
        first, last = tensor["data_offsets"]
        state[name] = file[begin + first:begin + last].view("<f4").reshape(tensor["shape"])
    return state, config["num_heads"]
