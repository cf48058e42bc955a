#include "server/rpc/messages/field_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/rpc/error_details.pb.h"

namespace attention::rpc {

absl::Status FieldError(absl::string_view field, absl::string_view problem) {
  google::rpc::BadRequest bad_request;
  auto& violation = *bad_request.add_field_violations();
  violation.set_field(std::string(field));
  violation.set_description(std::string(problem));
  absl::Status status = absl::InvalidArgumentError(absl::StrCat(field, " ", problem));
  status.SetPayload(absl::StrCat("type.googleapis.com/", bad_request.GetDescriptor()->full_name()),
                    absl::Cord(bad_request.SerializeAsString()));
  return status;
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace attention::rpc
