#ifndef ATTENTION_CLIENT_CLI_FILES_NESTED_ARRAY_H_
#define ATTENTION_CLIENT_CLI_FILES_NESTED_ARRAY_H_

#include <string>

#include "absl/status/statusor.h"
#include "attention/v1/tensor.pb.h"
#include "nlohmann/json.hpp"

namespace attention::client {

// Makes a tensor from nested JSON arrays: [[1, 2, 3], [4, 5, 6]] has shape [2, 3]. Numbers give a
// float32 tensor, true and false a bool tensor. The strings "inf", "-inf" and "nan" count as
// numbers, as "Infinity", "-Infinity" and "NaN" do in protobuf's own JSON.
//
// INVALID_ARGUMENT if an array is empty, rows have different lengths, an element is null or
// anything else that is not a number, a number is beyond float32, or numbers and truth values are
// mixed. The message names the place, as in "request.tokens.tokens[1][2] is null; want a number";
// `path` is the place of the whole array.
absl::StatusOr<v1::Tensor> TensorFromNestedArray(const nlohmann::json& array,
                                                 const std::string& path);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_NESTED_ARRAY_H_
