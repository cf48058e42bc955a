#include "kernels/encoder/encoder_op.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/memory/tiles.h"
#include "kernels/products/operands.h"
#include "kernels/simd/convert.h"

namespace attention {
namespace {

// Tokens that go through the feed-forward part together, so that what lies between its two products
// stays in the third-level cache.
constexpr int64_t kFeedForwardRows = 1024;

constexpr int64_t kNormRows = 16;  // of a task

MaskView FromHead(MaskView mask, int64_t head) {
  if (mask.bias != nullptr) mask.bias += head * mask.head_stride;
  if (mask.visible != nullptr) mask.visible += head * mask.head_stride;
  return mask;
}

}  // namespace

// One batch on its way through the layers.
class EncoderOp::Computation {
 public:
  Computation(const EncoderOp& op, const EncoderBatch& batch, Executor* executor)
      : op_(op),
        shape_(op.config_.shape),
        format_(OnednnMatmul::OperandsFor(op.config_.compute_type)),
        batch_(batch),
        executor_(executor),
        tokens_(std::accumulate(batch.lens.begin(), batch.lens.end(), int64_t{0})),
        settings_(batch.settings) {
    settings_.num_heads = settings_.num_kv_heads = shape_.num_heads;
    settings_.scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim()));
  }

  WorkingMemory Memory(int threads, AttentionOp::Company company) const {
    WorkingMemory memory = op_.attention_.Memory(settings_, Sequences(), threads, company);
    WorkingMemory looks;  // one after the other, in the same buffers
    for (const EncoderBatch::Probe& probe : batch_.probes) {
      if (!SeesAttention(probe)) continue;
      const WorkingMemory look =
          op_.attention_.Memory(SettingsOf(probe), SequencesOf(probe, Sequences()), threads);
      looks = {.shared = std::max(looks.shared, look.shared + ListBytes()),
               .workspace = std::max(looks.workspace, look.workspace)};
    }
    memory.Add(looks);
    const Products& p = op_.products_;
    for (const LinearOp* const product : {&p.project, &p.add, &p.up, &p.down}) {
      memory.Add(product->Memory());
    }
    if (batch_.rotary.has_value()) {
      memory.Add(RotaryMemory(*batch_.rotary, shape_.head_dim(), batch_.lens.size()));
      memory.shared += static_cast<double>(sizeof(RotarySequence) * batch_.lens.size());
    }
    memory.shared += static_cast<double>(BufferBytes()) + ListBytes();
    return memory;
  }

  absl::Status Run(absl::Span<const EncoderLayer> layers, const LayerNorm* final_norm) {
    BufferPool::Loan loan = executor_->buffers().Borrow(CeilDiv(BufferBytes(), sizeof(float)));
    auto* const memory = reinterpret_cast<std::byte*>(loan.data());
    input_ = InputIsX() ? reinterpret_cast<std::byte*>(batch_.x) : memory;
    scratch_ = memory + (InputIsX() ? 0 : RowBytes(shape_.d_model) * tokens_);
    absl::Status status;
    if (!shape_.norm_first && !InputIsX()) {
      status = ToOperands(batch_.x, DataType::kFloat32, tokens_ * shape_.d_model, format_, input_,
                          *executor_);
    }
    for (size_t i = 0; i < layers.size() && status.ok(); ++i) {
      status = RunLayer(layers[i], static_cast<int64_t>(i));
    }
    if (!status.ok() || final_norm == nullptr) return status;
    return Normalize(*final_norm, batch_.x, nullptr);
  }

 private:
  // The input of a layer's products, in operand form, is x itself where normalisation leaves it so.
  bool InputIsX() const { return !shape_.norm_first && AreOperands(DataType::kFloat32, format_); }
  int64_t RowBytes(int64_t width) const { return width * ByteSize(format_.operand); }
  // The input; then query, key, value and heads, or, later, what the feed-forward part widens.
  int64_t BufferBytes() const {
    const int64_t attention = 4 * RowBytes(shape_.d_model) * tokens_;
    const int64_t ffn = RowBytes(shape_.ffn_dim) * std::min(tokens_, kFeedForwardRows);
    return (InputIsX() ? 0 : RowBytes(shape_.d_model) * tokens_) + std::max(attention, ffn);
  }

  absl::Status RunLayer(const EncoderLayer& layer, int64_t index) {
    absl::Status status;
    if (shape_.norm_first) status = Normalize(layer.attention_norm);
    if (status.ok()) status = Attend(layer, index);
    if (status.ok()) {
      status = Normalize(shape_.norm_first ? layer.ffn_norm : layer.attention_norm);
    }
    if (status.ok()) status = FeedForward(layer);
    if (status.ok() && !shape_.norm_first) status = Normalize(layer.ffn_norm);
    if (!status.ok()) return status;
    for (const EncoderBatch::Probe& probe : batch_.probes) {
      if (probe.layer == index && probe.hidden_states != nullptr) {
        std::copy_n(batch_.x, tokens_ * shape_.d_model, probe.hidden_states);
      }
    }
    return absl::OkStatus();
  }

  // The next products' input: in place of x post-norm, beside it pre-norm.
  absl::Status Normalize(const LayerNorm& norm) {
    if (AreOperands(DataType::kFloat32, format_)) {
      return Normalize(norm, reinterpret_cast<float*>(input_), nullptr);
    }
    return Normalize(norm, shape_.norm_first ? nullptr : batch_.x, input_);
  }

  absl::Status Normalize(const LayerNorm& norm, float* y, std::byte* operands) {
    const int64_t width = shape_.d_model;
    return executor_->ParallelFor(CeilDiv(tokens_, kNormRows), [&](int64_t task, Workspace&) {
      const int64_t first = task * kNormRows, rows = std::min(kNormRows, tokens_ - first);
      NormalizeRows(batch_.x + first * width, rows, width, norm,
                    y == nullptr ? nullptr : y + first * width, format_,
                    operands == nullptr ? nullptr : operands + first * RowBytes(width));
      return absl::OkStatus();
    });
  }

  // x += o(heads of attention over the input).
  absl::Status Attend(const EncoderLayer& layer, int64_t index) {
    std::byte *const q = Part(0), *const k = Part(1), *const v = Part(2), *const heads = Part(3);
    absl::Status status = op_.products_.project.Run({{input_, tokens_, layer.q, q},
                                                     {input_, tokens_, layer.k, k},
                                                     {input_, tokens_, layer.v, v}},
                                                    *executor_);
    if (status.ok() && batch_.rotary.has_value()) status = Turn(q);
    if (status.ok() && batch_.rotary.has_value()) status = Turn(k);
    if (!status.ok()) return status;

    std::vector<AttentionSequence> sequences = Sequences();
    ForEachSequence([&](size_t b, int64_t first) {
      sequences[b].query = ReadOnly(Heads(q, first));
      sequences[b].key.current = ReadOnly(Heads(k, first));
      sequences[b].value.current = ReadOnly(Heads(v, first));
      sequences[b].results.output = Heads(heads, first);
    });
    status = op_.attention_.Run(settings_, sequences, *executor_);
    for (const EncoderBatch::Probe& probe : batch_.probes) {
      if (status.ok() && probe.layer == index) status = ComputeProbe(probe, sequences);
    }
    if (status.ok()) status = Round(heads, tokens_ * shape_.d_model);
    if (!status.ok()) return status;
    return op_.products_.add.Run({{heads, tokens_, layer.o, batch_.x}}, *executor_);
  }

  // Attention once more for the heads that somebody wants to look at.
  absl::Status ComputeProbe(const EncoderBatch::Probe& probe,
                            std::vector<AttentionSequence> sequences) {
    if (!SeesAttention(probe)) return absl::OkStatus();
    return op_.attention_.Run(SettingsOf(probe), SequencesOf(probe, std::move(sequences)),
                              *executor_);
  }
  static bool SeesAttention(const EncoderBatch::Probe& probe) {
    return probe.attention_scores != nullptr || probe.attention_weights != nullptr;
  }
  AttentionSettings SettingsOf(const EncoderBatch::Probe& probe) const {
    AttentionSettings settings = settings_;
    settings.num_heads = settings.num_kv_heads = probe.num_heads;
    if (!settings.alibi_slopes.empty()) {
      settings.alibi_slopes = settings.alibi_slopes.subspan(probe.first_head, probe.num_heads);
    }
    return settings;
  }
  // The probe's heads of `sequences`, and its results in place of theirs.
  static std::vector<AttentionSequence> SequencesOf(const EncoderBatch::Probe& probe,
                                                    std::vector<AttentionSequence> sequences) {
    int64_t before = 0;
    for (AttentionSequence& s : sequences) {
      for (HeadsView* view : {&s.query, &s.key.current, &s.value.current}) {
        view->data = view->Row(probe.first_head, 0);
      }
      s.mask = FromHead(s.mask, probe.first_head);
      s.results = {};
      s.results.attention_scores = Place(probe.attention_scores, before);
      s.results.attention_weights = Place(probe.attention_weights, before);
      before += probe.num_heads * s.q_len * s.kv_len;
    }
    return sequences;
  }
  static std::byte* Place(float* results, int64_t before) {
    return results == nullptr ? nullptr : reinterpret_cast<std::byte*>(results + before);
  }

  // x += down(activation(up(input))).
  absl::Status FeedForward(const EncoderLayer& layer) {
    for (int64_t first = 0; first < tokens_; first += kFeedForwardRows) {
      const int64_t rows = std::min(kFeedForwardRows, tokens_ - first);
      const std::byte* const input = input_ + first * RowBytes(shape_.d_model);
      absl::Status status = op_.products_.up.Run({{input, rows, layer.up, scratch_}}, *executor_);
      if (status.ok()) status = Round(scratch_, rows * shape_.ffn_dim);
      if (status.ok()) {
        float* const x = batch_.x + first * shape_.d_model;
        status = op_.products_.down.Run({{scratch_, rows, layer.down, x}}, *executor_);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status Turn(std::byte* rows) {
    std::vector<RotarySequence> turns;
    turns.reserve(batch_.lens.size());
    ForEachSequence([&](size_t b, int64_t first) {
      const MutableHeadsView to = Heads(rows, first);
      turns.push_back({.len = batch_.lens[b], .from = ReadOnly(to), .to = to, .positions = {}});
    });
    return ApplyRotary(*batch_.rotary, shape_.num_heads, shape_.head_dim(), turns, *executor_);
  }

  // Results that become operands, where a product leaves them unrounded.
  absl::Status Round(std::byte* numbers, int64_t count) {
    if (!format_.round_to_bfloat16) return absl::OkStatus();
    return ToOperands(numbers, DataType::kFloat32, count, format_, numbers, *executor_);
  }

  std::byte* Part(int64_t i) { return scratch_ + i * RowBytes(shape_.d_model) * tokens_; }

  // The heads of the sequence whose first token is `first`.
  MutableHeadsView Heads(std::byte* rows, int64_t first) const {
    return TokenMajorView(rows + first * RowBytes(shape_.d_model), format_.operand,
                          shape_.num_heads, shape_.head_dim());
  }

  template <typename Visit>
  void ForEachSequence(Visit visit) const {
    int64_t first = 0;
    for (size_t b = 0; b < batch_.lens.size(); first += batch_.lens[b++]) visit(b, first);
  }

  // Of Sequences().
  double ListBytes() const {
    return static_cast<double>(sizeof(AttentionSequence) * batch_.lens.size());
  }

  // Lengths and masks; queries, keys and values are yet to be set, and the output, which stands at
  // an address that nobody reads.
  std::vector<AttentionSequence> Sequences() const {
    std::vector<AttentionSequence> sequences(batch_.lens.size());
    for (size_t b = 0; b < sequences.size(); ++b) {
      AttentionSequence& s = sequences[b];
      s.q_len = s.kv_len = s.visible_len = batch_.lens[b];
      if (!batch_.masks.empty()) s.mask = batch_.masks[b];
      static std::byte place;
      s.results.output.data = &place;
    }
    return sequences;
  }

  const EncoderOp& op_;
  const EncoderShape& shape_;
  const OperandFormat format_;
  const EncoderBatch& batch_;
  Executor* const executor_;  // null: nothing is run
  const int64_t tokens_;
  AttentionSettings settings_;
  std::byte* input_ = nullptr;    // [tokens, d_model], operands
  std::byte* scratch_ = nullptr;  // see BufferBytes
};

EncoderOp::EncoderOp(const Config& config, Products products, AttentionOp attention)
    : config_(config), products_(std::move(products)), attention_(std::move(attention)) {}

absl::StatusOr<EncoderOp> EncoderOp::Create(const Config& config) {
  const EncoderShape& shape = config.shape;
  const DataType operand = OnednnMatmul::OperandsFor(config.compute_type).operand;
  LinearOp::Config project = {
      .in = shape.d_model, .compute_type = config.compute_type, .y_type = operand};
  LinearOp::Config up = project, add = project;
  up.activation = shape.activation;
  add.y_type = DataType::kFloat32;
  add.accumulate = true;
  LinearOp::Config down = add;
  down.in = shape.ffn_dim;
  absl::StatusOr<LinearOp> ops[] = {LinearOp::Create(project), LinearOp::Create(add),
                                    LinearOp::Create(up), LinearOp::Create(down)};
  for (const absl::StatusOr<LinearOp>& op : ops) {
    if (!op.ok()) return op.status();
  }
  absl::StatusOr<AttentionOp> attention =
      AttentionOp::Create({.head_dim = shape.head_dim(),
                           .v_head_dim = shape.head_dim(),
                           .compute_type = config.compute_type});
  if (!attention.ok()) return attention.status();
  return EncoderOp(config,
                   {*std::move(ops[0]), *std::move(ops[1]), *std::move(ops[2]), *std::move(ops[3])},
                   *std::move(attention));
}

WorkingMemory EncoderOp::Memory(const EncoderBatch& batch, int threads,
                                AttentionOp::Company company) const {
  return Computation(*this, batch, nullptr).Memory(threads, company);
}

absl::Status EncoderOp::Run(absl::Span<const EncoderLayer> layers, const LayerNorm* final_norm,
                            const EncoderBatch& batch, Executor& executor) const {
  return Computation(*this, batch, &executor).Run(layers, final_norm);
}

}  // namespace attention
