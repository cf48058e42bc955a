#ifndef ATTENTION_CLIENT_CLI_FILES_RESULT_TENSORS_H_
#define ATTENTION_CLIENT_CLI_FILES_RESULT_TENSORS_H_

#include <vector>

#include "client/cli/files/array_file.h"
#include "google/protobuf/message.h"

namespace attention::client {

// Returns all tensors of a response, which still owns them, with the names of their fields:
// "attention_weights", "top_keys.indices", "probes.0.hidden_states". It follows the message's
// descriptor, so a result that the schema gets later needs no change here.
std::vector<NamedTensor> ResultTensors(const google::protobuf::Message& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_RESULT_TENSORS_H_
