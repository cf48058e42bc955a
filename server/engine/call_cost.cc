#include "server/engine/call_cost.h"

#include <algorithm>
#include <variant>

#include "server/engine/call_sequences.h"

namespace attention::engine {
namespace {

// A call of a few numbers takes about 20 us of a thread that does 100 GFLOP/s otherwise.
constexpr double kBaseFlop = 2e6;
// Weights that come with the call are packed first: about as long as so many operations a number.
constexpr double kPackFlop = 16;
// The softmax of a score, exponential included (kernels/README.md: 12 % of the products of heads of
// 64).
constexpr double kScoreFlop = 30;

double Numbers(const Linear& linear) {
  return static_cast<double>(linear.weight.in) * static_cast<double>(linear.weight.out);
}

}  // namespace

CallCost CostOf(const AttentionCall& call) {
  const CallShape& s = call.shape;
  const ResultSet& wanted = call.wanted;
  const SequenceOffsets totals = Totals(call);
  double flop = kBaseFlop;
  const auto* const source = std::get_if<TokensSource>(&call.source);
  if (source != nullptr && source->projections.has_value()) {
    const Projections& p = *source->projections;
    const auto add = [&](const Linear& linear, int64_t rows) {
      const double packing = call.layer == nullptr ? kPackFlop : 0;
      flop += Numbers(linear) * (2.0 * static_cast<double>(rows) + packing);
    };
    if (wanted.NeedQuery()) add(p.q, totals.queries);
    if (wanted.NeedKey()) add(p.k, totals.current_keys);
    if (wanted.NeedValue()) add(p.v, totals.current_keys);
    if (wanted.Has(Result::kOutput) && p.o.has_value()) add(*p.o, totals.queries);
  }
  if (wanted.NeedOperator()) {
    const bool combines = wanted.Has(Result::kOutput) || wanted.Has(Result::kWeightedValues);
    const auto widths = static_cast<double>(s.head_dim + (combines ? s.v_head_dim : 0));
    flop += (2.0 * widths + kScoreFlop) * static_cast<double>(totals.scores) *
            static_cast<double>(s.num_heads);
  }
  return {flop, std::max(totals.queries, totals.keys)};
}

CallCost CostOf(const EncodeCall& call) {
  const EncoderModel& model = call.model();
  const auto width = static_cast<double>(model.shape.d_model);
  const auto layers = static_cast<double>(model.layers.size());
  double flop = kBaseFlop;
  ForEachLinear(call.layer->model(), [&](const Linear& linear) {
    flop += 2.0 * Numbers(linear) * static_cast<double>(call.tokens());
  });
  const double heads = static_cast<double>(model.shape.num_heads);
  for (const int64_t len : call.lens) {
    flop += (4.0 * width + kScoreFlop * heads) * layers * static_cast<double>(len) *
            static_cast<double>(len);
  }
  return {flop, call.tokens()};
}

}  // namespace attention::engine
