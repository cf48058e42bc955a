#ifndef ATTENTION_SERVER_ENGINE_RESULT_TABLE_H_
#define ATTENTION_SERVER_ENGINE_RESULT_TABLE_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/strings/string_view.h"

// What a call of attention can return: one table, which requesting, planning, sizing and writing
// follow. The names and axes of the results, which clients know too, stand in the contract
// (proto/attention/v1/attention.proto, enum Result).
namespace attention::engine {

enum class Result : uint8_t {
  kQuery,
  kKey,
  kValue,
  kPresentKey,
  kPresentValue,
  kAttentionScores,
  kAttentionWeights,
  kLogSumExp,
  kWeightedValues,
  kTopKeys,
  kOutput,
};
constexpr size_t kResultCount = 11;

// The type of a result's numbers.
enum class NumbersOf : uint8_t {
  kResults,  // ResultTypes::result
  kKeys,     // ResultTypes::key
  kValues,   // ResultTypes::value
  kFloat32,
  kTopKeys,  // an int32 and a float32 for each
};

struct ResultRow {
  Result result;
  absl::string_view field;  // its name on the wire
  // Whether the attention operator makes it. The others are queries, keys and values that are
  // returned.
  bool needs_operator;
  bool needs_query, needs_key, needs_value;
  bool of_weighted;  // whether a WeightedSource has it
  bool of_partials;  // whether a PartialsSource has it
  NumbersOf numbers;
};

// clang-format off
// In the order of Result.
constexpr ResultRow kResults[kResultCount] = {
    //                                               needs:
    //                                               operator  query  key    value  of weighted, of partials
    {Result::kQuery,            "query",             false,    true,  false, false, false,       false, NumbersOf::kResults},
    {Result::kKey,              "key",               false,    false, true,  false, false,       false, NumbersOf::kKeys},
    {Result::kValue,            "value",             false,    false, false, true,  true,        false, NumbersOf::kValues},
    {Result::kPresentKey,       "present_key",       false,    false, true,  false, false,       false, NumbersOf::kKeys},
    {Result::kPresentValue,     "present_value",     false,    false, false, true,  false,       false, NumbersOf::kValues},
    {Result::kAttentionScores,  "attention_scores",  true,     true,  true,  false, false,       false, NumbersOf::kResults},
    {Result::kAttentionWeights, "attention_weights", true,     true,  true,  false, true,        false, NumbersOf::kResults},
    {Result::kLogSumExp,        "log_sum_exp",       true,     true,  true,  false, false,       true,  NumbersOf::kFloat32},
    {Result::kWeightedValues,   "weighted_values",   true,     true,  true,  true,  true,        false, NumbersOf::kResults},
    {Result::kTopKeys,          "top_keys",          true,     true,  true,  false, true,        false, NumbersOf::kTopKeys},
    {Result::kOutput,           "output",            true,     true,  true,  true,  true,        true,  NumbersOf::kResults},
};
// clang-format on

constexpr const ResultRow& RowOf(Result result) { return kResults[static_cast<size_t>(result)]; }

// Results that a call asks for. What they need decides what is computed.
class ResultSet {
 public:
  void Add(Result result) { set_.set(static_cast<size_t>(result)); }
  bool Has(Result result) const { return set_.test(static_cast<size_t>(result)); }

  // Whether the attention operator runs.
  bool NeedOperator() const { return AnyOf(&ResultRow::needs_operator); }
  bool NeedQuery() const { return AnyOf(&ResultRow::needs_query); }
  bool NeedKey() const { return AnyOf(&ResultRow::needs_key); }
  bool NeedValue() const { return AnyOf(&ResultRow::needs_value); }

  // Whether queries, keys or values themselves are among them.
  bool HasHeads() const {
    return AnyOf([](const ResultRow& row) { return !row.needs_operator; });
  }

  // A number for each set.
  uint64_t bits() const { return set_.to_ullong(); }

 private:
  template <typename Condition>
  bool AnyOf(Condition condition) const {
    for (const ResultRow& row : kResults) {
      if (std::invoke(condition, row) && Has(row.result)) return true;
    }
    return false;
  }

  std::bitset<kResultCount> set_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_RESULT_TABLE_H_
