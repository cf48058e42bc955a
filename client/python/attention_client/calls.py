"""Calls as they are sent, made from numpy arrays.

In the shapes: `batch` sequences; `q_len` query tokens and `kv_len` key/value tokens, of which the first
`past_len` come from an earlier call; `num_heads` query heads, `num_kv_heads` key/value heads; `head_dim`
the width of one query or key head, `v_head_dim` of one value head. Arrays are float32, float64, float16,
bfloat16 (ml_dtypes, or its bits as uint16), torch tensors or nested lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypedDict, Union

from numpy.typing import ArrayLike

from . import _protocol
from ._tensors import fill, fill_embeddings, has_integers
from .results import LayerInfo

if TYPE_CHECKING:
    from typing_extensions import Unpack

# A name, or a name and a version (0: the newest), or what get_layer and others return.
Layer = Union[str, "tuple[str, int]", LayerInfo]


@dataclass(frozen=True)
class ProjectionWeights:
    """The learned matrices of one attention layer, [in, out]: tokens multiply from the left.

    q_proj [d_model, num_heads * head_dim]; k_proj [d_context, num_kv_heads * head_dim];
    v_proj [d_context, num_kv_heads * v_head_dim]; o_proj [num_heads * v_head_dim, d_out], None: the
    heads are the output; biases [the width of theirs], None: no bias. num_heads: of a call that does
    not say it.
    """

    q_proj: ArrayLike
    k_proj: ArrayLike
    v_proj: ArrayLike
    o_proj: ArrayLike | None = None
    q_bias: ArrayLike | None = None
    k_bias: ArrayLike | None = None
    v_bias: ArrayLike | None = None
    o_bias: ArrayLike | None = None
    num_heads: int | None = None

    @classmethod
    def from_torch(cls, module: Any) -> ProjectionWeights:
        """Those of a torch.nn.MultiheadAttention whose keys and values are as wide as its queries.
        ValueError for one that adds keys of its own: upload that (upload_layer)."""
        if module.in_proj_weight is None:
            raise ValueError("the module's keys or values have widths of their own (kdim, vdim); "
                             "upload its state_dict instead")
        if module.bias_k is not None or module.add_zero_attn:
            raise ValueError("the module adds keys (add_bias_kv, add_zero_attn); upload its "
                             "state_dict instead")
        q, k, v = (part.T for part in module.in_proj_weight.detach().chunk(3))
        biases = {}
        if module.in_proj_bias is not None:
            q_bias, k_bias, v_bias = module.in_proj_bias.detach().chunk(3)
            biases = {"q_bias": q_bias, "k_bias": k_bias, "v_bias": v_bias,
                      "o_bias": module.out_proj.bias.detach()}
        return cls(q, k, v, module.out_proj.weight.detach().T, num_heads=module.num_heads, **biases)


class RotaryEmbedding(TypedDict, total=False):
    """Rotary embedding of query and key; {} has the usual settings."""

    pairing: str  # "split_half" (default) or "interleaved"
    rotary_dim: int  # numbers of a head that are turned; default all
    base: float  # default 10000
    query_positions: ArrayLike
    key_positions: ArrayLike


class Settings(TypedDict, total=False):
    """The operator's settings; those left out have the server's defaults (AttentionConfig in
    proto/attention/v1/attention.proto tells all)."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    scale: float  # on query . key; default 1 / sqrt(head_dim)
    normalization: str  # "softmax" (default) or "sum"
    causal: bool
    causal_alignment: str  # "top_left" or "bottom_right"
    mask: ArrayLike  # bool: true attends; floats are added to the scores. Aligned from the right with
    #                  [batch, num_heads, q_len, kv_len]
    left_window: int
    right_window: int
    alibi_slopes: ArrayLike  # [num_heads]
    softcap: float
    rotary: RotaryEmbedding
    sinks: ArrayLike  # [num_heads]
    compute_type: str  # "float32" (default) or "bfloat16"
    score_stage: str  # "raw" (default), "softcapped" or "biased"
    average_attention_weights: bool


class Options(Settings, total=False):
    """What any call of attention takes beside its source: the settings, and what to return."""

    results: str | Iterable[str]  # names of enum Result in proto/attention/v1/attention.proto; by default
    #                               "output", "attention_scores" and "attention_weights"
    query_indices: ArrayLike  # only these query rows
    top_k: int  # keys that "top_keys" names for each query
    request_id: str  # echoed


_ENUMS = {"normalization": "Normalization", "causal_alignment": "CausalAlignment",
          "compute_type": "ComputeType", "score_stage": "ScoreStage"}


@dataclass(frozen=True)
class AttentionCall:
    """One call of attention, for `compute` and `stream`; made by the functions below."""

    message: Any  # attention.v1.ComputeAttentionRequest


def set_settings(config: Any, settings: Mapping[str, Any]) -> None:
    """Fills an AttentionConfig. TypeError for what it does not have."""
    for name, value in settings.items():
        if name not in config.DESCRIPTOR.fields_by_name:
            raise TypeError(f"there is no setting {name!r}; there are "
                            f"{', '.join(Options.__annotations__)}")
        if value is None:
            continue
        if name == "mask":
            if has_integers(value):
                raise TypeError("a mask of integers; want bool (true attends), or floats to add")
            fill(config.mask, value)
        elif name == "rotary":
            config.rotary.SetInParent()  # {} is rotary embedding too
            for part, number in value.items():
                is_pairing = part == "pairing"
                _set(config.rotary, part, _protocol.value_of("RotaryEmbedding.Pairing", number)
                     if is_pairing else number)
        elif name in _ENUMS:
            setattr(config, name, _protocol.value_of(_ENUMS[name], value))
        else:
            _set(config, name, value)


def _set(message: Any, name: str, value: Any) -> None:
    """A number, or a list of them."""
    if name not in message.DESCRIPTOR.fields_by_name:
        raise TypeError(f"{message.DESCRIPTOR.name} has no {name!r}")
    if hasattr(getattr(message, name), "extend"):
        getattr(message, name).extend(value.tolist() if hasattr(value, "tolist") else value)
    else:
        setattr(message, name, value)


def set_layer(ref: Any, layer: Layer) -> None:
    if isinstance(layer, LayerInfo):
        layer = (layer.name, layer.version)
    ref.name, ref.version = (layer, 0) if isinstance(layer, str) else layer


def names(given: str | Iterable[str]) -> list[str]:
    """One name, or several."""
    return [given] if isinstance(given, str) else list(given)


def _call(request: Any, *, results: str | Iterable[str] = (), query_indices: ArrayLike = (),
          top_k: int = 0, request_id: str = "", **settings: Any) -> AttentionCall:
    request.results.extend(_protocol.value_of("Result", one) for one in names(results))
    _set(request, "query_indices", query_indices)
    request.top_k, request.request_id = top_k, request_id
    set_settings(request.config, settings)
    return AttentionCall(request)


def tokens_call(tokens: ArrayLike, *, context: ArrayLike | None = None,
                weights: ProjectionWeights | Mapping[str, ArrayLike] | None = None,
                layer: Layer | None = None, q_lens: Sequence[int] = (),
                kv_lens: Sequence[int] = (), **options: Unpack[Options]) -> AttentionCall:
    """Attention from token embeddings.

    tokens: [q_len, d_model] or [batch, q_len, d_model]; embeddings, not token ids, so arrays of integers
    are refused (lists of whole numbers are embeddings). context: the tokens attended to, where they
    are others. weights: the learned matrices; or layer: a stored layer that has them; neither: the
    simplified attention of the tutorials, query = key = value = tokens. q_lens, kv_lens: of a ragged
    batch, whose tokens are [sum of q_lens, d_model], the tokens of each sequence.
    """
    request = _protocol.message("ComputeAttentionRequest")()
    source = request.tokens
    fill_embeddings(source.tokens, tokens, "tokens")
    if context is not None:
        fill_embeddings(source.context, context, "context")
    if weights is not None and layer is not None:
        raise TypeError("weights and layer are given; want one of them")
    if weights is not None:
        given: dict[str, Any] = dict(weights) if isinstance(weights, Mapping) else {
            field.name: getattr(weights, field.name) for field in fields(weights)}
        num_heads = given.pop("num_heads", None)
        if num_heads is not None:
            options.setdefault("num_heads", num_heads)
        for name, matrix in given.items():
            if matrix is not None:
                fill(getattr(source.projection_weights, name), matrix)
    if layer is not None:
        set_layer(source.layer, layer)
    source.q_lens.extend(q_lens)
    source.kv_lens.extend(kv_lens)
    return _call(request, **options)


def projected_call(query: ArrayLike, key: ArrayLike, value: ArrayLike, *,
                   past_key: ArrayLike | None = None, past_value: ArrayLike | None = None,
                   q_lens: Sequence[int] = (), kv_lens: Sequence[int] = (),
                   **options: Unpack[Options]) -> AttentionCall:
    """Attention over queries, keys and values as they are.

    Each [len, heads * dim], [batch, len, heads * dim] or [batch, heads, len, dim], all alike.
    past_key, past_value: those of earlier calls, [batch, num_kv_heads, past_len, dim].
    """
    request = _protocol.message("ComputeAttentionRequest")()
    source = request.projected
    for name, array in (("query", query), ("key", key), ("value", value), ("past_key", past_key),
                        ("past_value", past_value)):
        if array is not None:
            fill(getattr(source, name), array)
    source.q_lens.extend(q_lens)
    source.kv_lens.extend(kv_lens)
    return _call(request, **options)


def weighted_call(attention_weights: ArrayLike, value: ArrayLike,
                  **options: Unpack[Options]) -> AttentionCall:
    """Only the last step: weights [q_len, kv_len] or [batch, num_heads, q_len, kv_len], times values
    [kv_len, num_kv_heads * v_head_dim], [batch, kv_len, ...] or [batch, num_kv_heads, kv_len,
    v_head_dim]."""
    request = _protocol.message("ComputeAttentionRequest")()
    fill(request.weighted.attention_weights, attention_weights)
    fill(request.weighted.value, value)
    return _call(request, **options)


def partials_call(parts: Iterable[tuple[ArrayLike, ArrayLike]], *, q_lens: Sequence[int] = (),
                  **options: Unpack[Options]) -> AttentionCall:
    """Merges results over disjoint keys: of each part its output and its log_sum_exp."""
    request = _protocol.message("ComputeAttentionRequest")()
    for output, log_sum_exp in parts:
        part = request.partials.parts.add()
        fill(part.output, output)
        fill(part.log_sum_exp, log_sum_exp)
    request.partials.q_lens.extend(q_lens)
    return _call(request, **options)
