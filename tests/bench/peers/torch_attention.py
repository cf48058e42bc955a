"""Attention with PyTorch, for peer_server.py. All tensors are float32."""

import threading
import warnings

import torch
from torch.nn import functional

# Requests are only read.
warnings.filterwarnings("ignore", message="The given buffer is not writable")

_of_thread = threading.local()  # PyTorch's number of threads is each calling thread's own


def set_threads(count):
    """Of each operator that this thread calls from now on."""
    if getattr(_of_thread, "count", None) != count:
        torch.set_num_threads(count)
        _of_thread.count = count


def versions():
    parts = [part for part in ("mkl", "mkldnn", "openmp")
             if getattr(torch.backends, part).is_available()]
    capability = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    packed = "packed" if _Linear(torch.ones(1, 1), torch.ones(1)).packed is not None else "not packed"
    return f"torch {torch.__version__} with {', '.join(parts)}; {capability}; matrices {packed}"


def tokens_of(data, shape):
    """The bytes of a tensor, not copied."""
    return torch.frombuffer(data, dtype=torch.float32).view(shape)


def bytes_of(tensor):
    return tensor.numpy().tobytes()


def _attend(query, key, value, keep):
    """(output, scores, weights) of query, key and value [batch, heads, len, head_dim]; the last two
    None unless `keep`, as the fused kernel does not give them."""
    if not keep:
        return functional.scaled_dot_product_attention(query, key, value), None, None
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    weights = scores.softmax(-1)
    return weights @ value, scores, weights


@torch.inference_mode()
def attend(tokens, keep):
    """The simplified attention of tokens [len, width]: (output, scores, weights), the last two None
    unless `keep`."""
    heads = tokens.view(1, 1, *tokens.shape)
    output, scores, weights = _attend(heads, heads, heads, keep)
    return output.view(tokens.shape), scores, weights


class _Linear:
    """tokens * matrix^T + bias, of a matrix [out, in]. Where PyTorch can pack the matrix for oneDNN
    beforehand, as torch.compile does, that is faster than functional.linear. Milliseconds of CPU time for
    a layer of 768 on 16, 128 and 512 tokens, the least of 7 repetitions on a busy machine (AMD Zen 4),
    PyTorch 2.15, one thread, 2026-11-26: 0.9, 6.9 and 33, instead of 1.3, 8.0 and 37; compiled with
    freezing 1.6, 8.3 and 39."""

    def __init__(self, matrix, bias):
        self.matrix, self.bias = matrix, bias
        try:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(matrix, None)
            self(matrix[:1])
        except (AttributeError, NotImplementedError, RuntimeError):  # not in this release
            self.packed = None

    def __call__(self, tokens):
        if self.packed is None:
            return functional.linear(tokens, self.matrix, self.bias)
        return torch.ops.mkldnn._linear_pointwise(tokens, self.packed, self.bias, "none", [], "")


class Layer:
    """A torch.nn.MultiheadAttention; `state` is its state_dict, of numpy arrays."""

    @torch.inference_mode()
    def __init__(self, state, num_heads):
        state = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
        self.in_proj = _Linear(state["in_proj_weight"], state["in_proj_bias"])
        self.out_proj = _Linear(state["out_proj.weight"], state["out_proj.bias"])
        self.d_model, self.num_heads = len(state["out_proj.bias"]), num_heads

    @torch.inference_mode()
    def attend(self, tokens, keep):
        """As `attend`, of tokens [len, d_model]; scores and weights are [1, num_heads, len, len]."""
        length = len(tokens)
        # Each [1, num_heads, len, head_dim].
        query, key, value = self.in_proj(tokens).view(
            1, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        heads, scores, weights = _attend(query, key, value, keep)
        merged = heads.transpose(1, 2).reshape(length, self.d_model)
        return self.out_proj(merged), scores, weights
