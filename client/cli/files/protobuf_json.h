#ifndef ATTENTION_CLIENT_CLI_FILES_PROTOBUF_JSON_H_
#define ATTENTION_CLIENT_CLI_FILES_PROTOBUF_JSON_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "client/channel.h"
#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace attention::client {

// The files of arrays that a text may name.
struct ArrayFiles {
  std::string folder = "";                  // what relative names go by; empty: the current one
  uint64_t most_bytes = kMostMessageBytes;  // of all their arrays together
};

// Reads protobuf JSON into `message`, with comforts for people who write it by hand:
//   - where the schema has a Tensor there may be nested arrays (nested_array.h), or the name of an
//     array in a file, such as "tokens.npy" or "layer.safetensors:q_proj" (array_file.h), whose
//     bytes go straight into the message;
//   - an enum value may leave out what all its names share: "SUM" for NORMALIZATION_SUM;
//   - "inf", "-inf" and "nan" are numbers wherever protobuf has "Infinity", "-Infinity" and "NaN".
// It follows the message's descriptor, so a field that the schema gets later needs no change here.
//
// INVALID_ARGUMENT: a key that is no field, a field in both of its spellings, a null (protobuf
// would silently take it for "unset"), a value that its field cannot hold, arrays larger than
// `files` says. Messages give the place, beginning with `path`, what is there and what is wanted.
// `message` is then unspecified.
absl::Status FromFriendlyJson(nlohmann::json value, const ArrayFiles& files,
                              const std::string& path, google::protobuf::Message& message);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_PROTOBUF_JSON_H_
