#include "server/engine/encode_runner.h"

#include <variant>
#include <vector>

namespace attention::engine {
namespace {

std::vector<MaskView> Masks(const EncodeCall& call) {
  std::vector<MaskView> masks;
  if (call.mask.empty()) return masks;
  for (size_t b = 0; b < call.lens.size(); ++b) {
    MaskView mask = call.mask;
    const int64_t before = static_cast<int64_t>(b) * call.mask_batch_stride;
    if (mask.bias != nullptr) mask.bias += before;
    if (mask.visible != nullptr) mask.visible += before;
    masks.push_back(mask);
  }
  return masks;
}

std::vector<EncoderBatch::Probe> Probes(const EncodeCall& call) {
  std::vector<EncoderBatch::Probe> probes;
  for (const EncodeProbe& probe : call.probes) {
    probes.push_back({.layer = probe.layer,
                      .hidden_states = probe.hidden_states,
                      .first_head = probe.first_head,
                      .num_heads = probe.num_heads,
                      .attention_scores = probe.attention_scores,
                      .attention_weights = probe.attention_weights});
  }
  return probes;
}

}  // namespace

absl::StatusOr<double> EncodeRunner::WorkingBytes(const EncodeCall& call, int threads) {
  const absl::StatusOr<std::shared_ptr<const EncoderOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  EncoderBatch batch;
  batch.lens = call.lens;
  batch.settings = call.settings;
  const double x = call.want_hidden_states ? 0 : sizeof(float) * call.model().shape.d_model;
  return (*op)->WorkingBytes(batch, threads) + x * static_cast<double>(call.tokens());
}

absl::Status EncodeRunner::Run(const EncodeCall& call, Executor& executor) {
  const absl::StatusOr<std::shared_ptr<const EncoderOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  const absl::StatusOr<std::shared_ptr<const PackedLayer>> packed =
      layers_.Get(call.layer, call.compute_type, executor);
  if (!packed.ok()) return packed.status();
  const auto& model = std::get<EncoderModel>((*packed)->model);

  // The hidden states are computed where they are to be sent from.
  const bool sent = call.hidden_states != nullptr;
  BufferPool::Loan loan = executor.buffers().Borrow(sent ? 0 : call.tokens() * model.shape.d_model);
  float* const x = sent ? call.hidden_states : loan.data();
  Embedding embedding = model.embedding;
  if (call.vectors.has_value()) embedding.tokens = *call.vectors;
  absl::Status status = Embed(
      embedding, {.ids = call.ids, .positions = call.positions, .types = call.types}, x, executor);
  if (!status.ok()) return status;

  const std::vector<MaskView> masks = Masks(call);
  const std::vector<EncoderBatch::Probe> probes = Probes(call);
  status = (*op)->Run(model.layers, model.final_norm.has_value() ? &*model.final_norm : nullptr,
                      {.lens = call.lens,
                       .x = x,
                       .settings = call.settings,
                       .masks = masks,
                       .rotary = model.rotary,
                       .probes = probes},
                      executor);
  if (!status.ok() || call.pooled == nullptr) return status;
  return Pool(call.pooling, x, call.lens, model.shape.d_model, call.pooled, executor);
}

absl::StatusOr<std::shared_ptr<const EncoderOp>> EncodeRunner::OpFor(const EncodeCall& call) {
  return ops_.Get({.shape = call.model().shape, .compute_type = call.compute_type});
}

}  // namespace attention::engine
