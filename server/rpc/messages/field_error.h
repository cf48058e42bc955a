#ifndef ATTENTION_SERVER_RPC_MESSAGES_FIELD_ERROR_H_
#define ATTENTION_SERVER_RPC_MESSAGES_FIELD_ERROR_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attention::rpc {

// INVALID_ARGUMENT for one wrong field. The message is "`field` `problem`", and the status carries
// a google.rpc.BadRequest that names `field`, the path from the request, such as
// "tokens.projection_weights.q_proj.shape". `problem` says what it is and what is wanted.
absl::Status FieldError(absl::string_view field, absl::string_view problem);

// "[2, 3]".
std::string ShapeText(absl::Span<const int64_t> shape);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_FIELD_ERROR_H_
