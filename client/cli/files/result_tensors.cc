#include "client/cli/files/result_tensors.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"

namespace attention::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void AddTensors(const Message& message, const std::string& name,
                std::vector<NamedTensor>& tensors) {
  if (message.GetDescriptor() == v1::Tensor::descriptor()) {
    tensors.push_back({name, &static_cast<const v1::Tensor&>(message)});
    return;
  }
  const auto below = [&name](absl::string_view part) {
    return name.empty() ? std::string(part) : absl::StrCat(name, ".", part);
  };
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* const field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      AddTensors(reflection.GetMessage(message, field), below(field->name()), tensors);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      AddTensors(reflection.GetRepeatedMessage(message, field, i),
                 below(absl::StrCat(field->name(), ".", i)), tensors);
    }
  }
}

}  // namespace

std::vector<NamedTensor> ResultTensors(const Message& response) {
  std::vector<NamedTensor> tensors;
  AddTensors(response, "", tensors);
  return tensors;
}

}  // namespace attention::client
