"""Attention with numpy, for peer_server.py. All arrays are float32.

The products are those of numpy's BLAS, on so many threads as set_threads says where that is OpenBLAS;
what lies between them is numpy's own and on one thread.
"""

import ctypes
import functools
import pathlib

import numpy as np

# Numbers of scores that are made and used before the next heads': 1 MiB stays in the L2 cache of a core.
SCORES_AT_A_TIME = 1 << 18


def _blas_files():
    """Of the BLAS that this process has loaded."""
    lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
    return sorted({line.split()[-1] for line in lines if "blas" in line})


@functools.cache
def _openblas(name):
    """A function of OpenBLAS by its name, which numpy's own wheels decorate; None: it is another BLAS."""
    for file in _blas_files():
        library = ctypes.CDLL(file)
        for decorated in (f"scipy_{name}64_", f"{name}64_", name):
            if hasattr(library, decorated):
                return getattr(library, decorated)
    return None


def set_threads(count):
    """Of each product from now on."""
    set_count = _openblas("openblas_set_num_threads")
    if set_count is not None:
        set_count(count)


def versions():
    config = _openblas("openblas_get_config")
    if config is None:
        blas = f"{', '.join(pathlib.Path(file).name for file in _blas_files())}, which is not OpenBLAS"
    else:
        config.restype = ctypes.c_char_p
        blas = config().decode().strip()
    return f"numpy {np.__version__} with {blas}"


def tokens_of(data, shape):
    """The bytes of a tensor as an array, not copied."""
    return np.frombuffer(data, np.float32).reshape(shape)


def bytes_of(array):
    return array.tobytes()


def _attend(query, key, value, output, keep):
    """softmax(query * key^T) * value into `output`, each [..., len, head_dim], the query scaled.

    keep: whether (scores, weights), each [..., len, len], are wanted; else None is returned, and rows
    are normalised where they are shorter, in the output.
    """
    scores = query @ key.swapaxes(-1, -2)
    weights = np.subtract(scores, scores.max(axis=-1, keepdims=True), out=None if keep else scores)
    np.exp(weights, out=weights)
    sums = weights.sum(axis=-1, keepdims=True)
    if not keep:
        np.divide(weights @ value, sums, out=output)
        return None
    weights /= sums
    np.matmul(weights, value, out=output)
    return scores, weights


def attend(tokens, keep):
    """The simplified attention of tokens [len, width]: (output, scores, weights), the last two None
    unless `keep`."""
    output = np.empty_like(tokens)
    kept = _attend(tokens * np.float32(tokens.shape[1] ** -0.5), tokens, tokens, output, keep)
    return output, *(kept or (None, None))


class Layer:
    """A torch.nn.MultiheadAttention; `state` is its state_dict."""

    def __init__(self, state, num_heads):
        self.d_model, self.num_heads = len(state["out_proj.bias"]), num_heads
        self.in_proj = state["in_proj_weight"].T.copy()  # [d_model, 3 * d_model]
        self.in_bias = state["in_proj_bias"].copy()
        # Queries are scaled by the projection that makes them.
        scale = np.float32((self.d_model // num_heads) ** -0.5)
        self.in_proj[:, :self.d_model] *= scale
        self.in_bias[:self.d_model] *= scale
        self.out_proj = state["out_proj.weight"].T.copy()  # [d_model, d_model]
        self.out_bias = state["out_proj.bias"]

    def attend(self, tokens, keep):
        """As `attend`, of tokens [len, d_model]; scores and weights are [num_heads, len, len]."""
        length = len(tokens)
        projected = tokens @ self.in_proj
        projected += self.in_bias
        # Each [num_heads, len, head_dim].
        query, key, value = projected.reshape(length, 3, self.num_heads, -1).transpose(1, 2, 0, 3)
        merged = np.empty((length, self.num_heads, query.shape[2]), np.float32)
        heads = merged.transpose(1, 0, 2)
        scores = weights = None
        if keep:
            scores, weights = _attend(query, key, value, heads, keep)
        else:
            step = max(1, SCORES_AT_A_TIME // length**2)
            for i in range(0, self.num_heads, step):
                part = slice(i, i + step)
                _attend(query[part], key[part], value[part], heads[part], keep)
        output = merged.reshape(length, -1) @ self.out_proj
        output += self.out_bias
        return output, scores, weights
