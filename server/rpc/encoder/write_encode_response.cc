#include "server/rpc/encoder/write_encode_response.h"

#include <algorithm>

#include "server/rpc/messages/make_tensor.h"

namespace attention::rpc {
namespace {

// The shapes of results.
struct EncodeShapes {
  explicit EncodeShapes(const engine::EncodeCall& encode)
      : call(encode), d_model(encode.model().shape.d_model) {
    for (const int64_t len : call.lens) squares += len * len;
  }

  Shape HiddenStates() const { return {call.tokens(), d_model}; }
  Shape Pooled() const { return {static_cast<int64_t>(call.lens.size()), d_model}; }
  Shape Scores(const engine::EncodeProbe& probe) const {
    const int64_t len = call.lens[0], batch = static_cast<int64_t>(call.lens.size());
    const bool equal = std::count(call.lens.begin(), call.lens.end(), len) == batch;
    if (equal) return {batch, probe.num_heads, len, len};
    return {probe.num_heads * squares};
  }

  const engine::EncodeCall& call;
  int64_t d_model;
  int64_t squares = 0;
};

}  // namespace

double ResponseBytes(const DecodedEncode& decoded) {
  const EncodeShapes shapes(decoded.call);
  const auto bytes = [](bool is_wanted, const Shape& shape) {
    return is_wanted ? Bytes(shape, sizeof(float)) : 0.0;
  };
  double sum = bytes(decoded.call.want_hidden_states, shapes.HiddenStates()) +
               bytes(decoded.call.want_pooled, shapes.Pooled());
  for (const engine::EncodeProbe& probe : decoded.call.probes) {
    sum += bytes(probe.want_hidden_states, shapes.HiddenStates()) +
           bytes(probe.want_attention_scores, shapes.Scores(probe)) +
           bytes(probe.want_attention_weights, shapes.Scores(probe));
  }
  return sum;
}

void MakeRoom(DecodedEncode& decoded, v1::EncodeResponse& response) {
  engine::EncodeCall& call = decoded.call;
  const EncodeShapes shapes(call);
  response.mutable_layer()->set_name(call.layer->name());
  response.mutable_layer()->set_version(call.layer->version());
  response.mutable_lens()->Assign(call.lens.begin(), call.lens.end());
  if (call.want_hidden_states) {
    call.hidden_states =
        MakeFloats(shapes.HiddenStates(), decoded.form, *response.mutable_hidden_states());
  }
  if (call.want_pooled) {
    call.pooled = MakeFloats(shapes.Pooled(), decoded.form, *response.mutable_pooled());
  }
  for (engine::EncodeProbe& probe : call.probes) {
    v1::ProbeResponse& to = *response.add_probes();
    if (probe.want_hidden_states) {
      probe.hidden_states =
          MakeFloats(shapes.HiddenStates(), decoded.form, *to.mutable_hidden_states());
    }
    if (probe.want_attention_scores) {
      probe.attention_scores =
          MakeFloats(shapes.Scores(probe), decoded.form, *to.mutable_attention_scores());
    }
    if (probe.want_attention_weights) {
      probe.attention_weights =
          MakeFloats(shapes.Scores(probe), decoded.form, *to.mutable_attention_weights());
    }
  }
}

}  // namespace attention::rpc
