#include "server/rpc/attention/write_response.h"

#include <cstddef>
#include <iterator>

#include "server/engine/call_sequences.h"
#include "server/rpc/attention/contract_results.h"
#include "server/rpc/messages/make_tensor.h"

namespace attention::rpc {
namespace {

using engine::Result;

// The lengths of a call's results.
class ResultShapes {
 public:
  explicit ResultShapes(const DecodedRequest& decoded)
      : decoded_(decoded),
        call_(decoded.call),
        shape_(decoded.call.shape),
        totals_(engine::Totals(decoded.call)) {}

  // Of a ragged batch all but the output lie flat, sequence after sequence; the most attended keys
  // of a query stay together.
  Shape Of(const ListedResult& listed) const {
    if (listed.row->result == Result::kOutput) return decoded_.output_shape;
    if (call_.ragged && listed.row->result == Result::kTopKeys) {
      return {Product(shape_.num_heads, totals_.queries), decoded_.top_k};
    }
    if (call_.ragged) return {Count(listed)};
    Shape shape;
    for (const ResultAxis axis : listed.axes) {
      if (HasAxis(listed, axis)) shape.push_back(Length(listed, axis));
    }
    return shape;
  }

  // Bytes of the numbers; a double, which does not overflow.
  double Bytes(const ListedResult& listed) const {
    return rpc::Bytes(Of(listed), BytesOfOne(listed.row->numbers));
  }

  DataType TypeOf(engine::NumbersOf numbers) const {
    switch (numbers) {
      case engine::NumbersOf::kResults:
        return call_.types.result;
      case engine::NumbersOf::kKeys:
        return call_.types.key;
      case engine::NumbersOf::kValues:
        return call_.types.value;
      default:
        return DataType::kFloat32;
    }
  }

 private:
  // The product, or 2^62 where that is more: no response has room for it.
  static int64_t Product(int64_t a, int64_t b) {
    constexpr int64_t kMost = int64_t{1} << 62;
    const double product = static_cast<double>(a) * static_cast<double>(b);
    return product < static_cast<double>(kMost) ? a * b : kMost;
  }

  int64_t BytesOfOne(engine::NumbersOf numbers) const {
    const int64_t bytes = ByteSize(TypeOf(numbers));
    return numbers == engine::NumbersOf::kTopKeys ? 2 * bytes : bytes;
  }

  bool HasAxis(const ListedResult& listed, ResultAxis axis) const {
    return !(axis == ResultAxis::kNumHeads && call_.settings.average_weights &&
             listed.row->result == Result::kAttentionWeights);
  }

  // A layer's own keys have scores; they are not among those that are returned.
  int64_t Length(const ListedResult& listed, ResultAxis axis) const {
    const int64_t lengths[] = {// in the order of ResultAxis
                               shape_.batch,
                               shape_.num_heads,
                               shape_.num_kv_heads,
                               shape_.q_len,
                               listed.row->needs_operator ? shape_.score_len() : shape_.kv_len,
                               shape_.kv_len - shape_.past_len,
                               shape_.head_dim,
                               shape_.v_head_dim,
                               decoded_.top_k};
    static_assert(std::size(lengths) == static_cast<size_t>(ResultAxis::kTopK) + 1);
    return lengths[static_cast<size_t>(axis)];
  }

  // The numbers of all sequences of a ragged batch: the product of the lengths that they share, and
  // the sum over the sequences of those that they do not.
  int64_t Count(const ListedResult& listed) const {
    bool by_query = false, by_key = false, by_new_key = false;
    int64_t count = 1;
    for (const ResultAxis axis : listed.axes) {
      by_query = by_query || axis == ResultAxis::kQLen;
      by_key = by_key || axis == ResultAxis::kKvLen;
      by_new_key = by_new_key || axis == ResultAxis::kNewLen;
      const bool is_shared = axis != ResultAxis::kBatch && axis != ResultAxis::kQLen &&
                             axis != ResultAxis::kKvLen && axis != ResultAxis::kNewLen;
      if (is_shared && HasAxis(listed, axis)) count = Product(count, Length(listed, axis));
    }
    const int64_t sum = by_new_key           ? totals_.current_keys
                        : by_query && by_key ? totals_.scores
                        : by_query           ? totals_.queries
                                             : totals_.keys;
    return Product(count, sum);
  }

  const DecodedRequest& decoded_;
  const engine::AttentionCall& call_;
  const engine::CallShape& shape_;
  const engine::SequenceOffsets totals_;
};

// A view of the output as the heads of the attention operator. Behind an output projection only the
// memory counts.
engine::MutableBatchView OutputView(std::byte* data, const DecodedRequest& decoded) {
  const engine::CallShape& s = decoded.call.shape;
  const DataType type = decoded.call.types.result;
  if (decoded.output_shape.size() == 4) {
    return engine::HeadMajorBatch(data, type, s.q_len, s.num_heads, s.v_head_dim);
  }
  return engine::TokenMajorBatch(data, type, s.num_heads, s.v_head_dim);
}

}  // namespace

double ResponseBytes(const DecodedRequest& decoded) {
  const ResultShapes shapes(decoded);
  double sum = 0;
  for (const ListedResult& listed : ListedResults()) {
    if (decoded.call.wanted.Has(listed.row->result)) sum += shapes.Bytes(listed);
  }
  return sum;
}

void MakeRoom(DecodedRequest& decoded, v1::ComputeAttentionResponse& response) {
  const ResultShapes shapes(decoded);
  engine::CallOutputs& to = decoded.call.outputs;
  for (const ListedResult& listed : ListedResults()) {
    const Result result = listed.row->result;
    if (!decoded.call.wanted.Has(result)) continue;
    const Shape shape = shapes.Of(listed);
    if (result == Result::kTopKeys) {
      v1::TopKeys& top_keys = *response.mutable_top_keys();
      to.top_k = decoded.top_k;
      to.top_indices = MakeIndices(shape, decoded.form, *top_keys.mutable_indices());
      to.top_weights = MakeFloats(shape, decoded.form, *top_keys.mutable_attention_weights());
      continue;
    }
    auto& tensor = static_cast<v1::Tensor&>(
        *response.GetReflection()->MutableMessage(&response, listed.field));
    std::byte* const place =
        MakeTensor(shape, shapes.TypeOf(listed.row->numbers), decoded.form, tensor);
    if (result == Result::kOutput) {
      to.output = OutputView(place, decoded);
    } else {
      to.Set(result, place);
    }
  }
}

void FinishResults(const DecodedRequest& decoded, v1::ComputeAttentionResponse& response) {
  if (decoded.form == ResultForm::kFloatValues && decoded.call.wanted.Has(Result::kTopKeys)) {
    IndicesToFloats(*response.mutable_top_keys()->mutable_indices());
  }
}

}  // namespace attention::rpc
