#include "server/engine/encode_plan.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <variant>

#include "absl/status/statusor.h"
#include "kernels/encoder/embedding.h"
#include "kernels/encoder/pooling.h"
#include "server/engine/batch_key.h"

namespace attention::engine {
namespace {

EncoderBatch::Probe ProbeOf(const EncodeProbe& probe) {
  return {.layer = probe.layer,
          .hidden_states = probe.hidden_states,
          .first_head = probe.first_head,
          .num_heads = probe.num_heads,
          .attention_scores = probe.attention_scores,
          .attention_weights = probe.attention_weights};
}

// The same before there is memory for its results: each stands at an address that nobody reads.
EncoderBatch::Probe WantedProbe(const EncodeProbe& probe) {
  static float place;
  EncoderBatch::Probe wanted = ProbeOf(probe);
  if (probe.want_attention_scores) wanted.attention_scores = &place;
  if (probe.want_attention_weights) wanted.attention_weights = &place;
  return wanted;
}

}  // namespace

EncodePlan::EncodePlan(const EncodeCall& call, Operators& operators, int threads)
    : calls_({&call}),
      any_(call),
      model_(call.model()),
      operators_(operators),
      threads_(threads),
      together_(MayJoinBatch(call)) {}

EncodePlan::EncodePlan(absl::Span<const EncodeCall* const> calls, const PackedLayer* packed,
                       Operators& operators, Executor& executor)
    : calls_(calls.begin(), calls.end()),
      any_(*calls[0]),
      model_(std::get<EncoderModel>(packed->model)),
      operators_(operators),
      threads_(executor.threads()),
      together_(calls.size() > 1),
      plan_(executor) {}

absl::Status EncodePlan::Write() {
  for (const EncodeCall* call : calls_) {
    tokens_ += call->tokens();
    sequences_ += static_cast<int64_t>(call->lens.size());
  }
  AddEmbed();
  if (absl::Status status = AddEncode(); !status.ok()) return status;
  AddWrite();
  return absl::OkStatus();
}

// The hidden states of one call are computed where they are to be sent from.
void EncodePlan::AddEmbed() {
  const bool in_place = !together_ && any_.want_hidden_states;
  x_ = in_place ? any_.hidden_states : plan_.Reserve<float>(tokens_ * model_.shape.d_model);
  plan_.Add("embed", [this](Executor& executor) {
    absl::Status status;
    float* x = x_;
    for (const EncodeCall* call : calls_) {
      if (!status.ok()) return status;
      Embedding embedding = model_.embedding;
      if (call->vectors.has_value()) embedding.tokens = *call->vectors;
      status =
          Embed(embedding, {.ids = call->ids, .positions = call->positions, .types = call->types},
                x, executor);
      x += call->tokens() * model_.shape.d_model;
    }
    return status;
  });
}

absl::Status EncodePlan::AddEncode() {
  const absl::StatusOr<std::shared_ptr<const EncoderOp>> op =
      operators_.encoder.Get({.shape = model_.shape, .compute_type = any_.compute_type});
  if (!op.ok()) return op.status();
  lens_ = plan_.Reserve<int64_t>(sequences_);
  masks_ = plan_.ReserveList<MaskView>(sequences_);
  probes_ = plan_.ReserveList<EncoderBatch::Probe>(static_cast<int64_t>(any_.probes.size()));
  if (plan_.is_counted()) {
    std::vector<EncoderBatch::Probe> probes;
    for (const EncodeProbe& probe : any_.probes) probes.push_back(WantedProbe(probe));
    EncoderBatch batch;
    batch.lens = any_.lens;
    batch.settings = any_.settings;
    batch.rotary = model_.rotary;
    batch.probes = probes;
    using Company = AttentionOp::Company;
    plan_.Count((*op)->Memory(batch, threads_, together_ ? Company::kMayHaveSome : Company::kNone));
  } else {
    WriteLists();
  }
  plan_.Add("encode", [this, op = *op](Executor& executor) {
    const LayerNorm* const final_norm =
        model_.final_norm.has_value() ? &*model_.final_norm : nullptr;
    return op->Run(model_.layers, final_norm, BatchOf(), executor);
  });
  return absl::OkStatus();
}

void EncodePlan::WriteLists() {
  int64_t* len = lens_;
  MaskView* mask = masks_;
  for (const EncodeCall* call : calls_) {
    len = std::copy(call->lens.begin(), call->lens.end(), len);
    for (size_t b = 0; b < call->lens.size(); ++b) {
      const int64_t skipped = static_cast<int64_t>(b) * call->mask_batch_stride;
      *mask = call->mask;
      if (mask->bias != nullptr) mask->bias += skipped;
      if (mask->visible != nullptr) mask->visible += skipped;
      ++mask;
    }
  }
  std::transform(any_.probes.begin(), any_.probes.end(), probes_, ProbeOf);
}

EncoderBatch EncodePlan::BatchOf() const {
  const bool any_mask = std::any_of(calls_.begin(), calls_.end(),
                                    [](const EncodeCall* call) { return !call->mask.empty(); });
  return {.lens = absl::MakeConstSpan(lens_, sequences_),
          .x = x_,
          .settings = any_.settings,
          .masks = absl::MakeConstSpan(masks_, any_mask ? sequences_ : 0),
          .rotary = model_.rotary,
          .probes = absl::MakeConstSpan(probes_, any_.probes.size())};
}

void EncodePlan::AddWrite() {
  if (plan_.is_counted()) {
    plan_.Count({.shared = static_cast<double>(sizeof(int64_t) * any_.lens.size()),
                 .workspace = 0});  // a list that Pool makes
  }
  plan_.Add("write", [this](Executor& executor) {
    const int64_t width = model_.shape.d_model;
    absl::Status status;
    const float* x = x_;
    for (const EncodeCall* call : calls_) {
      const int64_t numbers = call->tokens() * width;
      if (call->hidden_states != nullptr && call->hidden_states != x) {
        std::copy_n(x, numbers, call->hidden_states);
      }
      if (call->pooled != nullptr && status.ok()) {
        status = Pool(call->pooling, x, call->lens, width, call->pooled, executor);
      }
      x += numbers;
    }
    return status;
  });
}

}  // namespace attention::engine
