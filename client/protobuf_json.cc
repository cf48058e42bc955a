#include "client/protobuf_json.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "attention/v1/tensor.pb.h"
#include "client/array_file.h"
#include "client/nested_array.h"
#include "client/token_ids_hint.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"

namespace attention::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using Json = nlohmann::json;

absl::Status Error(const std::string& path, absl::string_view what,
                   absl::string_view between = " ") {
  return absl::InvalidArgumentError(absl::StrCat(path, between, what));
}

// Null when the message has no such field. Both of protobuf's spellings are good: kv_len and kvLen.
const FieldDescriptor* FindField(const Descriptor& type, const std::string& key) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->name() == key || type.field(i)->json_name() == key) return type.field(i);
  }
  return nullptr;
}

std::string FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return absl::StrJoin(names, ", ");
}

// What the names of the enum's values begin with: its zero value is PREFIX_UNSPECIFIED.
absl::string_view EnumPrefix(const EnumDescriptor& type) {
  const absl::string_view zero = type.value(0)->name();
  constexpr absl::string_view kZero = "UNSPECIFIED";
  return absl::EndsWith(zero, kZero) ? zero.substr(0, zero.size() - kZero.size()) : "";
}

absl::Status ConvertEnum(const EnumDescriptor& type, const std::string& path, Json& value) {
  if (!value.is_string()) return absl::OkStatus();  // a number is for protobuf to judge
  const std::string& name = value.get_ref<const std::string&>();
  const absl::string_view prefix = EnumPrefix(type);
  if (type.FindValueByName(name) != nullptr) return absl::OkStatus();
  const std::string full_name = absl::StrCat(prefix, name);
  if (type.FindValueByName(full_name) != nullptr) {
    value = full_name;
    return absl::OkStatus();
  }
  std::vector<absl::string_view> names;
  for (int i = 1; i < type.value_count(); ++i) {
    names.push_back(absl::string_view(type.value(i)->name()).substr(prefix.size()));
  }
  return Error(path, absl::StrCat("is \"", name, "\"; want one of ", absl::StrJoin(names, ", ")));
}

void ConvertFloat(Json& value) {
  if (!value.is_string()) return;
  if (value == "inf") value = "Infinity";
  if (value == "-inf") value = "-Infinity";
  if (value == "nan") value = "NaN";
}

// The tensor that nested arrays or the name of a file stand for, into protobuf JSON with the
// elements as bytes: exact, and far shorter than their digits.
absl::Status ConvertTensor(const std::string& folder, const std::string& path, Json& value) {
  absl::StatusOr<v1::Tensor> tensor =
      value.is_array() ? TensorFromNestedArray(value, path)
                       : ReadArray(std::filesystem::path(folder) / value.get<std::string>());
  if (!tensor.ok() && !value.is_array()) return Error(path, tensor.status().message(), ": ");
  if (!tensor.ok()) return tensor.status();
  value = {{"dataType", v1::DataType_Name(tensor->data_type())},
           {"shape", std::vector<int64_t>(tensor->shape().begin(), tensor->shape().end())},
           {"data", absl::Base64Escape(tensor->data())}};
  return absl::OkStatus();
}

// Whether the field is a tensor of token embeddings.
bool HoldsEmbeddings(const FieldDescriptor& field) {
  return field.full_name() == "attention.v1.TokensSource.tokens" ||
         field.full_name() == "attention.v1.TokensSource.context" ||
         field.full_name() == "attention.v1.EncodeRequest.embeddings";
}

// Whether it is one row of whole numbers from 0, or several.
bool MayBeTokenIds(const Json& value) {
  const auto is_id = [](const Json& number) { return number.is_number_unsigned(); };
  const auto is_row = [&](const Json& row) {
    return row.is_array() && std::all_of(row.begin(), row.end(), is_id);
  };
  return is_row(value) || (value.is_array() && std::all_of(value.begin(), value.end(), is_row));
}

absl::Status ConvertMessage(const Descriptor& type, const std::string& folder,
                            const std::string& path, Json& value);

absl::Status ConvertElement(const FieldDescriptor& field, const std::string& folder,
                            const std::string& path, Json& value) {
  if (value.is_null()) return Error(path, "is null; want a value, or leave it out");
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM:
      return ConvertEnum(*field.enum_type(), path, value);
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      absl::Status status = ConvertMessage(*field.message_type(), folder, path, value);
      const bool may_be_ids = !status.ok() && HoldsEmbeddings(field) && MayBeTokenIds(value);
      return may_be_ids ? Error(std::string(status.message()), kTokenIdsHint, "") : status;
    }
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      ConvertFloat(value);
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

absl::Status ConvertField(const FieldDescriptor& field, const std::string& folder,
                          const std::string& path, Json& value) {
  if (field.is_map()) {
    if (!value.is_object()) return Error(path, "is no object; want one");
    for (auto& [key, element] : value.items()) {
      const std::string place = absl::StrCat(path, ".", key);
      absl::Status status =
          ConvertElement(*field.message_type()->map_value(), folder, place, element);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  if (!field.is_repeated()) return ConvertElement(field, folder, path, value);
  if (!value.is_array()) return Error(path, "is no array; want one");
  for (size_t i = 0; i < value.size(); ++i) {
    absl::Status status = ConvertElement(field, folder, absl::StrCat(path, "[", i, "]"), value[i]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ConvertMessage(const Descriptor& type, const std::string& folder,
                            const std::string& path, Json& value) {
  const bool is_tensor = type.full_name() == v1::Tensor::descriptor()->full_name();
  if (is_tensor && (value.is_array() || value.is_string())) {
    return ConvertTensor(folder, path, value);
  }
  // Durations and the like have a JSON form of their own.
  if (absl::StartsWith(type.full_name(), "google.protobuf.")) return absl::OkStatus();
  if (!value.is_object()) {
    return Error(path, absl::StrCat("is no object; want ",
                                    is_tensor ? "nested arrays, a file of arrays, or " : "",
                                    "an object with ", FieldNames(type)));
  }
  std::map<const FieldDescriptor*, std::string> keys;
  for (auto& [key, element] : value.items()) {
    const FieldDescriptor* field = FindField(type, key);
    if (field == nullptr) {
      return Error(path, absl::StrCat("has no field \"", key, "\"; it has ", FieldNames(type)));
    }
    if (const auto [other, is_first] = keys.emplace(field, key); !is_first) {
      return Error(path, absl::StrCat("has the field ", field->name(), " twice, as \"",
                                      other->second, "\" and as \"", key, "\""));
    }
    absl::Status status = ConvertField(*field, folder, absl::StrCat(path, ".", key), element);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FromFriendlyJson(Json value, const std::string& folder, const std::string& path,
                              google::protobuf::Message& message) {
  absl::Status status = ConvertMessage(*message.GetDescriptor(), folder, path, value);
  if (!status.ok()) return status;
  const google::protobuf::util::Status parsed = google::protobuf::util::JsonStringToMessage(
      value.dump(-1, ' ', false, Json::error_handler_t::replace), &message);
  if (parsed.ok()) return absl::OkStatus();
  return Error(path, absl::StrCat("does not fit: ", std::string(parsed.message())));
}

}  // namespace attention::client
