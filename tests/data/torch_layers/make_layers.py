#!/usr/bin/env python3
"""Writes the layers beside this file, with what PyTorch computes with them.

    /usr/bin/python3 make_layers.py      (Debian 12: apt-get install python3-torch)

Each folder is one layer as people have it: model.safetensors and config.json. case.json beside them
holds calls of it, requests of the API in protobuf JSON, and what PyTorch gives for each. The models
named after Hugging Face's are written out with PyTorch's functions, by the papers and under the names
that their files have.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from layer_files import numbers, tensor, write_case


def randomize(module):
    """Weights of a size that keeps numbers moderate, also where PyTorch begins with 0 and 1."""
    with torch.no_grad():
        for parameter in module.parameters():
            spread = 1 / math.sqrt(parameter.shape[-1]) if parameter.dim() > 1 else 0.2
            center = 1.0 if parameter.dim() == 1 and parameter.mean() == 1 else 0.0
            parameter.copy_(center + spread * torch.randn(parameter.shape))
    return module.eval()


def rounded(module, dtype):
    """The module with weights that `dtype` holds exactly, and the tensors of its file."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.to(dtype).float())
    return {name: t.to(dtype) for name, t in module.state_dict().items()}


# --- torch.nn.MultiheadAttention ---


def attention_case(name, dtype=torch.float32, context_width=None, causal=False, padding=None, **options):
    d_model, heads, batch, q_len = 12, 3, 2, 5
    kv_len = 4 if context_width else q_len
    module = nn.MultiheadAttention(
        d_model, heads, batch_first=True, kdim=context_width, vdim=context_width, **options
    )
    tensors = rounded(randomize(module), dtype)
    tokens = torch.randn(batch, q_len, d_model)
    context = torch.randn(batch, kv_len, context_width) if context_width else tokens
    hidden = torch.triu(torch.ones(q_len, kv_len, dtype=torch.bool), 1) if causal else None
    pad = None
    if padding:
        pad = torch.arange(kv_len)[None, :] >= torch.tensor(padding)[:, None]
    output, weights = module(
        tokens, context, context, attn_mask=hidden, key_padding_mask=pad, average_attn_weights=False
    )
    source = {"tokens": tensor(tokens)}
    if context_width:
        source["context"] = tensor(context)
    if padding:
        source["kv_lens"] = padding
    config = {"format": "torch.nn.MultiheadAttention", "num_heads": heads}
    if options.get("add_zero_attn"):
        config["add_zero_attn"] = True
    write_case(
        name,
        config,
        tensors,
        [
            {
                "attention": {"tokens": source, "config": {"causal": causal}},
                "output": numbers(output),
                "attention_weights": numbers(weights),
            }
        ],
    )


# --- torch.nn.TransformerEncoderLayer and torch.nn.TransformerEncoder ---


def sinusoidal(count, width):
    positions = torch.arange(count, dtype=torch.float64)[:, None]
    pairs = torch.arange(0, width, 2, dtype=torch.float64)[None, :]
    angles = positions / 10000 ** (pairs / width)
    return torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(1).float()


def mean_of(hidden):
    return hidden.mean(dim=1)


def encoder_case(name, layers=2, dtype=torch.float32, one=False, final_norm=False, positions=None,
                 vocabulary=0, causal=False, **options):
    d_model, heads, ffn_dim, max_len = 16, 4, 24, 9
    layer = nn.TransformerEncoderLayer(d_model, heads, ffn_dim, batch_first=True, **options)
    norm = nn.LayerNorm(d_model) if final_norm else None
    module = layer if one else nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)
    tensors = rounded(randomize(module), dtype)
    lens = [6, 3]
    config = {
        "format": "torch.nn.TransformerEncoderLayer" if one else "torch.nn.TransformerEncoder",
        "num_heads": heads,
        "norm_first": options.get("norm_first", False),
        "activation": options.get("activation", "relu"),
    }
    if vocabulary:
        table = torch.randn(vocabulary, d_model)
        tensors["embedding.weight"] = table
        ids = torch.randint(vocabulary, (sum(lens),))
        rows = table[ids]
        request = {"token_ids": ids.tolist()}
    else:
        rows = torch.randn(sum(lens), d_model)
        request = {"embeddings": tensor(rows)}
    places = None
    if positions == "learned":
        places = tensors["position_embedding.weight"] = torch.randn(max_len, d_model)
    elif positions == "sinusoidal":
        places = sinusoidal(max_len, d_model)
        config.update(positions="sinusoidal", max_len=max_len)
    hidden = []
    for x in rows.split(lens):
        x = x[None] + (0 if places is None else places[: x.shape[0]])
        mask = torch.triu(torch.full((x.shape[1],) * 2, -math.inf), 1) if causal else None
        hidden.append(module(x, mask))
    request.update(lens=lens, config={"causal": causal})
    write_case(
        name,
        config,
        tensors,
        [
            {
                "encode": request,
                "hidden_states": sum((numbers(h) for h in hidden), []),
                "pooled": sum((numbers(mean_of(h)) for h in hidden), []),
            }
        ],
    )


# --- Hugging Face's BertModel and RobertaModel ---


def bert_tensors(d_model, ffn_dim, layers, vocabulary, types, places):
    def weight(*shape):
        return torch.randn(*shape) / math.sqrt(shape[-1])

    def vector(center, size):
        return center + 0.2 * torch.randn(size)

    tensors = {
        "embeddings.position_ids": torch.arange(places)[None],
        "embeddings.word_embeddings.weight": torch.randn(vocabulary, d_model),
        "embeddings.position_embeddings.weight": torch.randn(places, d_model),
        "embeddings.token_type_embeddings.weight": torch.randn(types, d_model),
        "embeddings.LayerNorm.weight": vector(1, d_model),
        "embeddings.LayerNorm.bias": vector(0, d_model),
    }
    for i in range(layers):
        sizes = {
            "attention.self.query": (d_model, d_model),
            "attention.self.key": (d_model, d_model),
            "attention.self.value": (d_model, d_model),
            "attention.output.dense": (d_model, d_model),
            "intermediate.dense": (ffn_dim, d_model),
            "output.dense": (d_model, ffn_dim),
        }
        for part, (out, width) in sizes.items():
            tensors[f"encoder.layer.{i}.{part}.weight"] = weight(out, width)
            tensors[f"encoder.layer.{i}.{part}.bias"] = vector(0, out)
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"encoder.layer.{i}.{part}.weight"] = vector(1, d_model)
            tensors[f"encoder.layer.{i}.{part}.bias"] = vector(0, d_model)
    tensors["pooler.dense.weight"] = weight(d_model, d_model)
    return tensors


def bert(t, ids, types, places, heads, layers, epsilon, activation):
    """Hidden states after each layer, and each layer's weights, of one sequence."""

    def linear(name, x):
        return F.linear(x, t[name + ".weight"].float(), t[name + ".bias"].float())

    def norm(name, x):
        return F.layer_norm(
            x, x.shape[-1:], t[name + ".weight"].float(), t[name + ".bias"].float(), epsilon
        )

    def split(x):
        return x.reshape(x.shape[0], heads, -1).transpose(0, 1)

    x = sum(
        t[f"embeddings.{kind}_embeddings.weight"].float()[index]
        for kind, index in (("word", ids), ("position", places), ("token_type", types))
    )
    x = norm("embeddings.LayerNorm", x)
    states, all_weights = [], []
    for i in range(layers):
        name = f"encoder.layer.{i}."
        q, k, v = (split(linear(f"{name}attention.self.{p}", x)) for p in ("query", "key", "value"))
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1)
        heads_of = (weights @ v).transpose(0, 1).reshape(x.shape)
        x = norm(name + "attention.output.LayerNorm", x + linear(name + "attention.output.dense", heads_of))
        wide = activation(linear(name + "intermediate.dense", x))
        x = norm(name + "output.LayerNorm", x + linear(name + "output.dense", wide))
        states.append(x)
        all_weights.append(weights)
    return states, all_weights


def bert_case(name, model_type="bert", prefix="", dtype=torch.float32, act="gelu", old_names=False):
    d_model, heads, ffn_dim, layers, vocabulary, epsilon = 16, 2, 32, 3, 20, 1e-12
    roberta = model_type != "bert"
    padding_id, types, places = 1, 1 if roberta else 2, 10 if roberta else 8
    tensors = {
        key: t.to(dtype) if t.dtype == torch.float32 else t
        for key, t in bert_tensors(d_model, ffn_dim, layers, vocabulary, types, places).items()
    }
    lens = [7, 4]
    all_ids = torch.randint(2, vocabulary, (sum(lens),))
    if roberta:
        all_ids[5] = all_ids[6] = padding_id
    all_types = torch.zeros_like(all_ids) if roberta else torch.randint(types, (sum(lens),))
    activation = {"gelu": F.gelu, "relu": F.relu,
                  "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))}
    hidden, pooled, first, probed, weights = [], [], [], [], []
    for ids, kinds in zip(all_ids.split(lens), all_types.split(lens)):
        if roberta:
            real = (ids != padding_id).long()
            at = torch.cumsum(real, 0) * real + padding_id
        else:
            at = torch.arange(len(ids))
        states, layer_weights = bert(tensors, ids, kinds, at, heads, layers, epsilon, activation[act])
        hidden += numbers(states[-1])
        pooled += numbers(F.normalize(states[-1].mean(0), dim=0))
        first += numbers(states[-1][0])
        probed += numbers(states[1])
        weights += numbers(layer_weights[1][1])
    config = {
        "model_type": model_type, "architectures": ["Model"], "hidden_size": d_model,
        "num_attention_heads": heads, "intermediate_size": ffn_dim, "num_hidden_layers": layers,
        "hidden_act": act, "layer_norm_eps": epsilon, "vocab_size": vocabulary,
        "max_position_embeddings": places, "type_vocab_size": types, "pad_token_id": padding_id if roberta else 0,
    }
    if old_names:
        tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
                   for k, t in tensors.items()}
    request = {"token_ids": all_ids.tolist(), "lens": lens}
    if not roberta:
        request["type_ids"] = all_types.tolist()
    probe = {"layer": 1, "first_head": 1, "num_heads": 1,
             "results": ["ENCODE_RESULT_HIDDEN_STATES", "ENCODE_RESULT_ATTENTION_WEIGHTS"]}
    write_case(
        name,
        config,
        {prefix + k: t for k, t in tensors.items()},
        [
            {"encode": {**request, "normalize": True, "probes": [probe]}, "hidden_states": hidden,
             "pooled": pooled, "probe_hidden_states": probed, "probe_attention_weights": weights},
            {"encode": {**request, "pooling": "POOLING_FIRST_TOKEN"}, "hidden_states": hidden,
             "pooled": first},
        ],
    )


def main():
    torch.manual_seed(3)
    attention_case("attention")
    attention_case("attention_no_bias", bias=False)
    attention_case("attention_context", context_width=10)
    attention_case("attention_bias_kv", add_bias_kv=True)
    attention_case("attention_zero", add_zero_attn=True, causal=True)
    attention_case("attention_bias_kv_zero", add_bias_kv=True, add_zero_attn=True, causal=True, padding=[5, 3])
    attention_case("attention_float16", dtype=torch.float16)
    attention_case("attention_bfloat16", dtype=torch.bfloat16)
    encoder_case("encoder_layer_relu", one=True)
    encoder_case("encoder_layer_pre_gelu", one=True, norm_first=True, activation="gelu")
    encoder_case("encoder_post_relu_norm", final_norm=True)
    encoder_case("encoder_pre_gelu", norm_first=True, activation="gelu", final_norm=True)
    encoder_case("encoder_causal", causal=True, activation="gelu")
    encoder_case("encoder_learned", positions="learned", vocabulary=11)
    encoder_case("encoder_sinusoidal", positions="sinusoidal", vocabulary=11, norm_first=True)
    encoder_case("encoder_bfloat16", dtype=torch.bfloat16)
    bert_case("bert")
    bert_case("bert_prefixed", prefix="bert.", old_names=True, act="gelu_new")
    bert_case("bert_float16", dtype=torch.float16, act="relu")
    bert_case("roberta", model_type="roberta", prefix="roberta.")
    bert_case("xlm_roberta", model_type="xlm-roberta", dtype=torch.bfloat16)


if __name__ == "__main__":
    main()
