#include "kernels/encoder/layer_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/encoder/layer_norm.h"
#include "kernels/memory/tiles.h"
#include "kernels/products/operands.h"
#include "kernels/simd/convert.h"

namespace attention {
namespace {

// The most tokens that go through the feed-forward part together, so that the numbers between its
// two products stay in the third-level cache.
constexpr int64_t kFeedForwardRows = 1024;

constexpr int64_t kNormRows = 16;  // rows of a task

// The parts of the scratch memory during attention, each [tokens, d_model].
constexpr int64_t kQuery = 0, kKey = 1, kValue = 2, kHeads = 3;

MaskView FromHead(MaskView mask, int64_t head) {
  if (mask.bias != nullptr) mask.bias += head * mask.head_stride;
  if (mask.visible != nullptr) mask.visible += head * mask.head_stride;
  return mask;
}

bool SeesAttention(const EncoderBatch::Probe& probe) {
  return probe.attention_scores != nullptr || probe.attention_weights != nullptr;
}

std::byte* Place(float* results, int64_t before) {
  return results == nullptr ? nullptr : reinterpret_cast<std::byte*>(results + before);
}

// Reduces `sequences` to the heads of the probe, and lets them write the results of the probe.
void SetProbe(const EncoderBatch::Probe& probe, absl::Span<AttentionSequence> sequences) {
  int64_t before = 0;
  for (AttentionSequence& s : sequences) {
    for (HeadsView* view : {&s.query, &s.key.current, &s.value.current}) {
      if (view->data != nullptr) view->data = view->Row(probe.first_head, 0);
    }
    s.mask = FromHead(s.mask, probe.first_head);
    s.results = {};
    s.results.attention_scores = Place(probe.attention_scores, before);
    s.results.attention_weights = Place(probe.attention_weights, before);
    before += probe.num_heads * s.q_len * s.kv_len;
  }
}

}  // namespace

LayerPlan::LayerPlan(const EncoderShape& shape, OperandFormat format,
                     const LayerOperators& operators, const EncoderBatch& batch)
    : LayerPlan(shape, format, operators, batch, nullptr, Plan()) {}

LayerPlan::LayerPlan(const EncoderShape& shape, OperandFormat format,
                     const LayerOperators& operators, const EncoderBatch& batch, Executor& executor)
    : LayerPlan(shape, format, operators, batch, &executor, Plan(executor)) {}

LayerPlan::LayerPlan(const EncoderShape& shape, OperandFormat format,
                     const LayerOperators& operators, const EncoderBatch& batch, Executor* executor,
                     Plan plan)
    : shape_(shape),
      format_(format),
      op_(operators),
      batch_(batch),
      executor_(executor),
      sequence_count_(static_cast<int64_t>(batch.lens.size())),
      tokens_(std::accumulate(batch.lens.begin(), batch.lens.end(), int64_t{0})),
      settings_(batch.settings),
      plan_(std::move(plan)) {
  settings_.num_heads = settings_.num_kv_heads = shape_.num_heads;
  settings_.scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim()));
  Write();
}

void LayerPlan::Write() {
  input_ = InputIsX() ? reinterpret_cast<std::byte*>(batch_.x)
                      : plan_.Reserve<std::byte>(RowBytes(shape_.d_model) * tokens_);
  scratch_ = plan_.Reserve<std::byte>(ScratchBytes());
  if (shape_.NormalizesFirst()) {
    plan_.Add("normalize", [this](Executor&) { return Normalize(layer_->attention_norm); });
    AddAttention();
    plan_.Add("normalize", [this](Executor&) { return Normalize(layer_->ffn_norm); });
    plan_.Add("feed forward", [this](Executor&) { return FeedForward(); });
  } else {
    AddAttention();
    plan_.Add("normalize", [this](Executor&) { return Normalize(layer_->attention_norm); });
    plan_.Add("feed forward", [this](Executor&) { return FeedForward(); });
    plan_.Add("normalize", [this](Executor&) { return Normalize(layer_->ffn_norm); });
  }
  if (!batch_.probes.empty()) {
    plan_.Add("return hidden states", [this](Executor&) { return ReturnHiddenStates(); });
  }
}

// x += o(heads of attention over the input).
void LayerPlan::AddAttention() {
  plan_.Add("project", [this](Executor&) { return Project(); });
  if (batch_.rotary.has_value()) {
    auto* const rotated = plan_.ReserveList<RotarySequence>(sequence_count_);
    if (plan_.is_counted()) {
      plan_.Count(RotaryMemory(*batch_.rotary, shape_.head_dim(), batch_.lens.size()));
    }
    plan_.Add("rotate", [this, rotated](Executor&) { return Rotate(rotated); });
  }
  sequences_ = plan_.ReserveList<AttentionSequence>(sequence_count_);
  if (!plan_.is_counted()) {
    const absl::Span<AttentionSequence> sequences(sequences_, sequence_count_);
    SetLengths(sequences);
    SetHeads(sequences);
  }
  plan_.Add("attend", [this](Executor&) { return Attend(); });
  if (std::any_of(batch_.probes.begin(), batch_.probes.end(), SeesAttention)) {
    auto* const of_probe = plan_.ReserveList<AttentionSequence>(sequence_count_);
    plan_.Add("probe", [this, of_probe](Executor&) { return ComputeProbes(of_probe); });
  }
  plan_.Add("project output", [this](Executor&) { return ProjectOutput(); });
}

WorkingMemory LayerPlan::Memory(int threads, AttentionOp::Company company) {
  std::vector<AttentionSequence> sequences(sequence_count_);
  SetLengths(absl::MakeSpan(sequences));
  plan_.Count(op_.attention.Memory(settings_, sequences, threads, company));
  WorkingMemory probes;  // probes run one after another, in the same buffers
  for (const EncoderBatch::Probe& probe : batch_.probes) {
    if (!SeesAttention(probe)) continue;
    std::vector<AttentionSequence> of_probe = sequences;
    SetProbe(probe, absl::MakeSpan(of_probe));
    const WorkingMemory memory = op_.attention.Memory(SettingsOf(probe), of_probe, threads);
    probes = {.shared = std::max(probes.shared, memory.shared),
              .workspace = std::max(probes.workspace, memory.workspace)};
  }
  plan_.Count(probes);
  for (const LinearOp* const product : {&op_.project, &op_.add, &op_.up, &op_.down}) {
    plan_.Count(product->Memory());
  }
  return plan_.memory();
}

absl::Status LayerPlan::Begin() {
  if (shape_.NormalizesFirst() || InputIsX()) return absl::OkStatus();
  return ToOperands(batch_.x, DataType::kFloat32, tokens_ * shape_.d_model, format_, input_,
                    *executor_);
}

absl::Status LayerPlan::Run(const EncoderLayer& layer, int64_t number) {
  layer_ = &layer;
  number_ = number;
  return plan_.Run();
}

absl::Status LayerPlan::NormalizeHiddenStates(const LayerNorm& norm) {
  return Normalize(norm, batch_.x, nullptr);
}

absl::Status LayerPlan::Project() {
  return op_.project.Run({{input_, tokens_, layer_->q, Part(kQuery)},
                          {input_, tokens_, layer_->k, Part(kKey)},
                          {input_, tokens_, layer_->v, Part(kValue)}},
                         *executor_);
}

// Rotates queries and keys in place. `sequences` has room for the sequences of the batch.
absl::Status LayerPlan::Rotate(RotarySequence* sequences) {
  absl::Status status;
  for (const int64_t part : {kQuery, kKey}) {
    int64_t first = 0;
    for (int64_t b = 0; b < sequence_count_; first += batch_.lens[b++]) {
      const MutableHeadsView rows = Heads(part, first);
      sequences[b] = {.len = batch_.lens[b], .from = ReadOnly(rows), .to = rows, .positions = {}};
    }
    if (!status.ok()) return status;
    status = ApplyRotary(*batch_.rotary, shape_.num_heads, shape_.head_dim(),
                         absl::MakeConstSpan(sequences, sequence_count_), *executor_);
  }
  return status;
}

absl::Status LayerPlan::Attend() {
  return op_.attention.Run(settings_, absl::MakeConstSpan(sequences_, sequence_count_), *executor_);
}

// Computes attention once more for the heads that probes ask for. `of_probe` has room for the
// sequences of the batch.
absl::Status LayerPlan::ComputeProbes(AttentionSequence* of_probe) {
  absl::Status status;
  for (const EncoderBatch::Probe& probe : batch_.probes) {
    if (probe.layer != number_ || !SeesAttention(probe) || !status.ok()) continue;
    std::copy_n(sequences_, sequence_count_, of_probe);
    SetProbe(probe, absl::MakeSpan(of_probe, sequence_count_));
    status = op_.attention.Run(SettingsOf(probe), absl::MakeConstSpan(of_probe, sequence_count_),
                               *executor_);
  }
  return status;
}

absl::Status LayerPlan::ProjectOutput() {
  absl::Status status = Round(Part(kHeads), tokens_ * shape_.d_model);
  if (!status.ok()) return status;
  return op_.add.Run({{Part(kHeads), tokens_, layer_->o, batch_.x}}, *executor_);
}

// Normalises x and writes the input of the next products. Post-norm x itself is normalised;
// pre-norm x stays as it is.
absl::Status LayerPlan::Normalize(const LayerNorm& norm) {
  if (AreOperands(DataType::kFloat32, format_)) {
    return Normalize(norm, reinterpret_cast<float*>(input_), nullptr);
  }
  return Normalize(norm, shape_.NormalizesFirst() ? nullptr : batch_.x, input_);
}

absl::Status LayerPlan::Normalize(const LayerNorm& norm, float* y, std::byte* operands) {
  const int64_t width = shape_.d_model;
  return executor_->ParallelFor(CeilDiv(tokens_, kNormRows), [&](int64_t task, Workspace&) {
    const int64_t first = task * kNormRows, rows = std::min(kNormRows, tokens_ - first);
    NormalizeRows(batch_.x + first * width, rows, width, norm,
                  y == nullptr ? nullptr : y + first * width, format_,
                  operands == nullptr ? nullptr : operands + first * RowBytes(width));
    return absl::OkStatus();
  });
}

// x += down(activation(up(input))).
absl::Status LayerPlan::FeedForward() {
  absl::Status status;
  for (int64_t first = 0; first < tokens_ && status.ok(); first += kFeedForwardRows) {
    const int64_t rows = std::min(kFeedForwardRows, tokens_ - first);
    const std::byte* const input = input_ + first * RowBytes(shape_.d_model);
    float* const x = batch_.x + first * shape_.d_model;
    status = op_.up.Run({{input, rows, layer_->up, scratch_}}, *executor_);
    if (status.ok()) status = Round(scratch_, rows * shape_.ffn_dim);
    if (status.ok()) status = op_.down.Run({{scratch_, rows, layer_->down, x}}, *executor_);
  }
  return status;
}

absl::Status LayerPlan::ReturnHiddenStates() {
  for (const EncoderBatch::Probe& probe : batch_.probes) {
    if (probe.layer == number_ && probe.hidden_states != nullptr) {
      std::copy_n(batch_.x, tokens_ * shape_.d_model, probe.hidden_states);
    }
  }
  return absl::OkStatus();
}

// Whether the input of a layer's products is x itself: post-norm x is normalised already, and
// float32 operands need no conversion.
bool LayerPlan::InputIsX() const {
  return !shape_.NormalizesFirst() && AreOperands(DataType::kFloat32, format_);
}

int64_t LayerPlan::RowBytes(int64_t width) const { return width * ByteSize(format_.operand); }

// The scratch memory holds query, key, value and heads, and later the wide numbers of the
// feed-forward part.
int64_t LayerPlan::ScratchBytes() const {
  const int64_t attention = 4 * RowBytes(shape_.d_model) * tokens_;
  const int64_t ffn = RowBytes(shape_.ffn_dim) * std::min(tokens_, kFeedForwardRows);
  return std::max(attention, ffn);
}

// Rounds the results of a product, in place, if they become operands and the product has not
// rounded them.
absl::Status LayerPlan::Round(std::byte* numbers, int64_t count) {
  if (!format_.round_to_bfloat16) return absl::OkStatus();
  return ToOperands(numbers, DataType::kFloat32, count, format_, numbers, *executor_);
}

AttentionSettings LayerPlan::SettingsOf(const EncoderBatch::Probe& probe) const {
  AttentionSettings settings = settings_;
  settings.num_heads = settings.num_kv_heads = probe.num_heads;
  if (!settings.alibi_slopes.empty()) {
    settings.alibi_slopes = settings.alibi_slopes.subspan(probe.first_head, probe.num_heads);
  }
  return settings;
}

std::byte* LayerPlan::Part(int64_t part) const {
  return scratch_ + part * RowBytes(shape_.d_model) * tokens_;
}

// The heads of a part for the sequence whose first token is `first`.
MutableHeadsView LayerPlan::Heads(int64_t part, int64_t first) const {
  return TokenMajorView(Part(part) + first * RowBytes(shape_.d_model), format_.operand,
                        shape_.num_heads, shape_.head_dim());
}

// Sets lengths and masks. The output gets an address that nobody uses, which is enough to count
// memory.
void LayerPlan::SetLengths(absl::Span<AttentionSequence> sequences) const {
  static std::byte place;
  for (size_t b = 0; b < sequences.size(); ++b) {
    AttentionSequence& s = sequences[b];
    s.q_len = s.kv_len = s.visible_len = batch_.lens[b];
    if (!batch_.masks.empty()) s.mask = batch_.masks[b];
    s.results.output.data = &place;
  }
}

// Sets queries, keys, values and output.
void LayerPlan::SetHeads(absl::Span<AttentionSequence> sequences) const {
  int64_t first = 0;
  for (size_t b = 0; b < sequences.size(); first += batch_.lens[b++]) {
    AttentionSequence& s = sequences[b];
    s.query = ReadOnly(Heads(kQuery, first));
    s.key.current = ReadOnly(Heads(kKey, first));
    s.value.current = ReadOnly(Heads(kValue, first));
    s.results.output = Heads(kHeads, first);
  }
}

}  // namespace attention
