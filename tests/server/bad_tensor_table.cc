// The part of the table that is about single tensors.
#include <functional>
#include <limits>

#include "tests/server/bad_request_table.h"

namespace attention {

using Request = v1::ComputeAttentionRequest;

std::vector<BadRequest> BadTensors() {
  const auto tokens = [](const std::function<void(v1::Tensor&)>& change) {
    v1::Tensor tensor = Ones({3, 4});
    change(tensor);
    return FromTokens(tensor);
  };
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  return {
      {"NoTensor", With({}, [](Request& r) { r.mutable_tokens(); }), "tokens.tokens",
       "is not set; want a float tensor"},
      {"NoDataType", tokens([](auto& t) { t.clear_data_type(); }), "tokens.tokens.data_type",
       "is DATA_TYPE_UNSPECIFIED; want DATA_TYPE_FLOAT32"},
      {"UnknownDataType", tokens([](auto& t) { t.set_data_type(v1::DataType(77)); }),
       "tokens.tokens.data_type", "is unknown: 77; want DATA_TYPE_FLOAT32"},
      {"BoolTokens", tokens([](auto& t) { t.set_data_type(v1::DATA_TYPE_BOOL); }),
       "tokens.tokens.data_type", "is DATA_TYPE_BOOL; want DATA_TYPE_FLOAT32"},
      {"NoAxes", tokens([](auto& t) { t.clear_shape(); }), "tokens.tokens.shape",
       "has 0 axes; want 1 to 4"},
      {"FiveAxes", FromTokens(Shaped({1, 1, 1, 1, 1})), "tokens.tokens.shape",
       "has 5 axes; want 1 to 4"},
      {"OneAxis", FromTokens(Ones({4})), "tokens.tokens.shape",
       "is [4]; want [q_len, d_model] or [batch, q_len, d_model]"},
      {"FourAxes", FromTokens(Ones({1, 1, 3, 4})), "tokens.tokens.shape", "is [1, 1, 3, 4]; want"},
      {"ZeroAxis", FromTokens(Shaped({0, 4})), "tokens.tokens.shape",
       "is [0, 4], with 0 on axis 0; want at least 1"},
      {"NegativeAxis", FromTokens(Shaped({3, -4})), "tokens.tokens.shape",
       "is [3, -4], with -4 on axis 1; want at least 1"},
      {"ProductOverflows", FromTokens(Shaped({kHuge, kHuge})), "tokens.tokens.shape",
       "more elements than can be counted"},
      {"ProductWrapsToZero", FromTokens(Shaped({int64_t{1} << 32, int64_t{1} << 32})),
       "tokens.tokens.shape", "more elements than can be counted"},
      {"ByteCountWraps", FromTokens(Shaped({int64_t{1} << 31, int64_t{1} << 31})),
       "tokens.tokens.data", "has 0 bytes; want 4611686018427387904 elements"},
      {"TooFewBytes", tokens([](auto& t) { t.mutable_data()->pop_back(); }), "tokens.tokens.data",
       "has 47 bytes; want 12 elements of 4 bytes"},
      {"TooManyBytes", tokens([](auto& t) { t.mutable_data()->append("0000"); }),
       "tokens.tokens.data", "has 52 bytes; want 12 elements"},
      {"NoBytes", FromTokens(Shaped({3, 4})), "tokens.tokens.data",
       "has 0 bytes; want 12 elements"},
      {"BothEncodings", tokens([](auto& t) { t.add_float_values(1); }), "tokens.tokens",
       "has both data (48 bytes) and float_values (1); want one of the two"},
      {"TooFewValues", tokens([](auto& t) {
         t.clear_data();
         t.add_float_values(1);
       }),
       "tokens.tokens.float_values", "has 1 values; want 12"},
  };
}

}  // namespace attention
