#ifndef ATTENTION_CLIENT_CLI_FILES_NESTED_ARRAY_H_
#define ATTENTION_CLIENT_CLI_FILES_NESTED_ARRAY_H_

#include <string>

#include "absl/status/statusor.h"
#include "attention/v1/tensor.pb.h"
#include "nlohmann/json.hpp"

namespace attention::client {

// The tensor that nested JSON arrays stand for: [[1, 2, 3], [4, 5, 6]] has shape [2, 3]. All
// numbers make a float32 tensor, all true and false a bool one. Of strings, "inf", "-inf" and "nan"
// stand for themselves, as "Infinity", "-Infinity" and "NaN" do in protobuf's own JSON.
//
// INVALID_ARGUMENT: an empty array, rows of different lengths, a null or anything else that is no
// number, a number beyond float32, numbers among true and false. The message gives the place, as in
// "request.tokens.tokens[1][2] is null; want a number"; `path` is what stands for the whole.
absl::StatusOr<v1::Tensor> TensorFromNestedArray(const nlohmann::json& array,
                                                 const std::string& path);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_NESTED_ARRAY_H_
