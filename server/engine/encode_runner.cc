#include "server/engine/encode_runner.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "server/engine/batch_key.h"

namespace attention::engine {
namespace {

// One mask a sequence of `calls`, of which there are `sequences`, or none.
std::vector<MaskView> Masks(absl::Span<const EncodeCall* const> calls, size_t sequences) {
  std::vector<MaskView> masks;
  masks.reserve(sequences);
  bool any = false;
  for (const EncodeCall* call : calls) {
    any = any || !call->mask.empty();
    for (size_t b = 0; b < call->lens.size(); ++b) {
      MaskView& mask = masks.emplace_back(call->mask);
      const int64_t skipped = static_cast<int64_t>(b) * call->mask_batch_stride;
      if (mask.bias != nullptr) mask.bias += skipped;
      if (mask.visible != nullptr) mask.visible += skipped;
    }
  }
  return any ? masks : std::vector<MaskView>();
}

std::vector<EncoderBatch::Probe> Probes(const EncodeCall& call) {
  std::vector<EncoderBatch::Probe> probes;
  probes.reserve(call.probes.size());
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

// The same before there is memory for their results: each stands at an address that nobody reads.
std::vector<EncoderBatch::Probe> WantedProbes(const EncodeCall& call) {
  static float place;
  std::vector<EncoderBatch::Probe> probes = Probes(call);
  for (size_t i = 0; i < probes.size(); ++i) {
    if (call.probes[i].want_attention_scores) probes[i].attention_scores = &place;
    if (call.probes[i].want_attention_weights) probes[i].attention_weights = &place;
  }
  return probes;
}

}  // namespace

absl::StatusOr<double> EncodeRunner::WorkingBytes(const EncodeCall& call, int threads) {
  const absl::StatusOr<std::shared_ptr<const EncoderOp>> op = OpFor(call);
  if (!op.ok()) return op.status();
  const std::vector<EncoderBatch::Probe> probes = WantedProbes(call);
  EncoderBatch batch;
  batch.lens = call.lens;
  batch.settings = call.settings;
  batch.rotary = call.model().rotary;
  batch.probes = probes;
  using Company = AttentionOp::Company;
  const bool joins = MayJoinBatch(call);
  WorkingMemory memory =
      (*op)->Memory(batch, threads, joins ? Company::kMayHaveSome : Company::kNone);
  // The hidden states, but where they are sure to be computed in the response.
  if (joins || !call.want_hidden_states) {
    memory.shared += sizeof(float) * static_cast<double>(call.model().shape.d_model) *
                     static_cast<double>(call.tokens());
  }
  // Lists: lens here and in Pool, masks, probes.
  memory.shared += static_cast<double>((2 * sizeof(int64_t) + sizeof(MaskView)) * call.lens.size() +
                                       sizeof(EncoderBatch::Probe) * call.probes.size());
  return WorkingMemory::kSmallBytes + memory.Bytes(threads);
}

absl::Status EncodeRunner::Run(absl::Span<const EncodeCall* const> calls, const PackedLayer& packed,
                               Executor& executor) {
  const EncodeCall& any = *calls[0];  // for what is the same in all
  const absl::StatusOr<std::shared_ptr<const EncoderOp>> op = OpFor(any);
  if (!op.ok()) return op.status();
  const auto& model = std::get<EncoderModel>(packed.model);
  const int64_t width = model.shape.d_model;

  size_t sequences = 0;
  for (const EncodeCall* call : calls) sequences += call->lens.size();
  std::vector<int64_t> lens;  // of the sequences of all calls
  lens.reserve(sequences);
  int64_t tokens = 0;
  for (const EncodeCall* call : calls) {
    lens.insert(lens.end(), call->lens.begin(), call->lens.end());
    tokens += call->tokens();
  }
  // The hidden states of one call are computed where they are to be sent from.
  const bool in_place = calls.size() == 1 && any.hidden_states != nullptr;
  BufferPool::Loan loan = executor.buffers().Borrow(in_place ? 0 : tokens * width);
  float* const x = in_place ? any.hidden_states : loan.data();  // [tokens, width]
  float* own = x;
  for (const EncodeCall* call : calls) {
    Embedding embedding = model.embedding;
    if (call->vectors.has_value()) embedding.tokens = *call->vectors;
    absl::Status status =
        Embed(embedding, {.ids = call->ids, .positions = call->positions, .types = call->types},
              own, executor);
    if (!status.ok()) return status;
    own += call->tokens() * width;
  }

  const std::vector<MaskView> masks = Masks(calls, sequences);
  const std::vector<EncoderBatch::Probe> probes = Probes(any);
  absl::Status status =
      (*op)->Run(model.layers, model.final_norm.has_value() ? &*model.final_norm : nullptr,
                 {.lens = lens,
                  .x = x,
                  .settings = any.settings,
                  .masks = masks,
                  .rotary = model.rotary,
                  .probes = probes},
                 executor);
  own = x;
  for (const EncodeCall* call : calls) {
    if (!status.ok()) return status;
    const int64_t numbers = call->tokens() * width;
    if (call->hidden_states != nullptr && !in_place) {
      std::copy_n(own, numbers, call->hidden_states);
    }
    if (call->pooled != nullptr) {
      status = Pool(call->pooling, own, call->lens, width, call->pooled, executor);
    }
    own += numbers;
  }
  return status;
}

absl::StatusOr<std::shared_ptr<const EncoderOp>> EncodeRunner::OpFor(const EncodeCall& call) {
  return ops_.Get({.shape = call.model().shape, .compute_type = call.compute_type});
}

}  // namespace attention::engine
