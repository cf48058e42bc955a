#ifndef ATTENTION_CLIENT_CLI_FILES_PROTOBUF_JSON_H_
#define ATTENTION_CLIENT_CLI_FILES_PROTOBUF_JSON_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "client/channel.h"
#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace attention::client {

// Limits for the array files that a text may name.
struct ArrayFiles {
  std::string folder = "";                  // relative names are relative to it; empty: the current
                                            // folder
  uint64_t most_bytes = kMostMessageBytes;  // of the arrays of all files together
};

// Reads protobuf JSON into `message`, with comforts for people who write it by hand:
//   - where the schema has a Tensor, nested arrays may stand (nested_array.h), or the name of an
//     array in a file, such as "tokens.npy" or "layer.safetensors:q_proj" (array_file.h), whose
//     bytes are read directly into the message;
//   - an enum value may leave out the prefix of its enum: "SUM" for NORMALIZATION_SUM;
//   - "inf", "-inf" and "nan" may stand for protobuf's "Infinity", "-Infinity" and "NaN".
// It follows the message's descriptor, so a field that the schema gets later needs no change here.
//
// INVALID_ARGUMENT if a key is not a field, a field stands in both of its spellings, a value is
// null (protobuf would silently take it as not set), a field cannot hold its value, or the arrays
// are larger than files.most_bytes. Messages name the place, beginning with `path`, what is there
// and what is wanted. `message` is then unspecified.
absl::Status FromFriendlyJson(nlohmann::json value, const ArrayFiles& files,
                              const std::string& path, google::protobuf::Message& message);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_PROTOBUF_JSON_H_
