#include "server/engine/batch_key.h"

#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/types/span.h"

namespace attention::engine {
namespace {

// The bytes of values, one behind the other.
class Key {
 public:
  template <typename... Values>
  explicit Key(const Values&... values) {
    (Add(values), ...);
  }
  std::string text() && { return std::move(bytes_); }

 private:
  void Add(const StoredLayer* layer) { Add(reinterpret_cast<uintptr_t>(layer)); }
  template <typename Value>
  void Add(const Value& value) {
    static_assert(std::is_scalar_v<Value>, "no padding, whose bytes are nothing");
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Add(absl::Span<const float> values) {
    Add(values.size());
    for (const float value : values) Add(value);
  }
  void Add(const AttentionSettings& s) {
    for (const int64_t number : {s.num_heads, s.num_kv_heads, s.left_window, s.right_window}) {
      Add(number);
    }
    for (const float number : {s.scale, s.softcap}) Add(number);
    for (const bool is_so : {s.causal, s.average_weights}) Add(is_so);
    Add(s.normalization);
    Add(s.score_stage);
    Add(s.alibi_slopes);
    Add(s.sinks);
  }
  void Add(const ResultSet& wanted) { Add(wanted.bits()); }
  void Add(const ResultTypes& types) {
    for (const DataType type : {types.result, types.key, types.value}) Add(type);
  }

  std::string bytes_;
};

}  // namespace

bool MayJoinBatch(const AttentionCall& call) { return call.layer != nullptr; }
bool MayJoinBatch(const EncodeCall& call) { return call.probes.empty(); }

std::string BatchKey(const AttentionCall& call) {
  if (!MayJoinBatch(call)) return "";
  const auto& source = std::get<TokensSource>(call.source);
  // Rows that query_indices picks are float32, whatever the tokens are.
  const DataType tokens = call.PicksQueries() ? DataType::kFloat32 : source.tokens.type;
  return Key('a', call.layer.get(), call.compute_type, call.settings, call.wanted, call.types,
             tokens, source.context.type)
      .text();
}

std::string BatchKey(const EncodeCall& call) {
  if (!MayJoinBatch(call)) return "";
  return Key('e', call.layer.get(), call.compute_type, call.settings).text();
}

}  // namespace attention::engine
