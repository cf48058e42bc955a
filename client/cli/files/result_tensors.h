#ifndef ATTENTION_CLIENT_CLI_FILES_RESULT_TENSORS_H_
#define ATTENTION_CLIENT_CLI_FILES_RESULT_TENSORS_H_

#include <vector>

#include "client/cli/files/array_file.h"
#include "google/protobuf/message.h"

namespace attention::client {

// All tensors of a response, which stays their owner, by the names of their fields:
// "attention_weights", "top_keys.indices", "probes.0.hidden_states". Goes by the message's
// descriptor, so results that the schema gets later need no change here.
std::vector<NamedTensor> ResultTensors(const google::protobuf::Message& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_RESULT_TENSORS_H_
