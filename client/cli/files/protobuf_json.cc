#include "client/cli/files/protobuf_json.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "attention/v1/tensor.pb.h"
#include "client/cli/files/array_file.h"
#include "client/cli/files/nested_array.h"
#include "client/cli/files/token_ids_hint.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"

namespace attention::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::json;

absl::Status Error(const std::string& path, absl::string_view what,
                   absl::string_view between = " ") {
  return absl::InvalidArgumentError(absl::StrCat(path, between, what));
}

// Returns the field, or null if the message has no such field. Both of protobuf's spellings are
// accepted: kv_len and kvLen.
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

// Returns the prefix of the names of an enum, whose zero value is PREFIX_UNSPECIFIED.
absl::string_view EnumPrefix(const EnumDescriptor& type) {
  const absl::string_view zero = type.value(0)->name();
  constexpr absl::string_view kZero = "UNSPECIFIED";
  return absl::EndsWith(zero, kZero) ? zero.substr(0, zero.size() - kZero.size()) : "";
}

absl::Status ConvertEnum(const EnumDescriptor& type, const std::string& path, Json& value) {
  if (!value.is_string()) return absl::OkStatus();  // protobuf checks numbers
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

// Whether the field is a tensor of token embeddings.
bool HoldsEmbeddings(const FieldDescriptor& field) {
  return field.full_name() == "attention.v1.TokensSource.tokens" ||
         field.full_name() == "attention.v1.TokensSource.context" ||
         field.full_name() == "attention.v1.EncodeRequest.embeddings";
}

// Whether the value is one row of whole numbers from 0 on, or several rows.
bool MayBeTokenIds(const Json& value) {
  const auto is_id = [](const Json& number) { return number.is_number_unsigned(); };
  const auto is_row = [&](const Json& row) {
    return row.is_array() && std::all_of(row.begin(), row.end(), is_id);
  };
  return is_row(value) || (value.is_array() && std::all_of(value.begin(), value.end(), is_row));
}

// Converts the friendly JSON into protobuf's own. Tensors are kept apart, because as text a tensor
// would take several times its bytes.
class Converter {
 public:
  explicit Converter(const ArrayFiles& files) : folder_(files.folder), room_(files.most_bytes) {}

  // `value` is the value of a message of this type, at `path`.
  absl::Status ConvertMessage(const Descriptor& type, const std::string& path, Json& value) {
    const bool is_tensor = type.full_name() == v1::Tensor::descriptor()->full_name();
    if (is_tensor && (value.is_array() || value.is_string())) return TakeTensor(path, value);
    // Durations and similar types have their own JSON form.
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
      absl::Status status = ConvertField(*field, absl::StrCat(path, ".", key), element);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Moves the tensors to their places in the message that protobuf made of the converted JSON.
  void PlaceTensors(Message& message) {
    for (Placed& placed : tensors_) {
      Message* at = &message;
      for (const auto& [field, index] : placed.steps) {
        const google::protobuf::Reflection& reflection = *at->GetReflection();
        at = field->is_repeated() ? reflection.MutableRepeatedMessage(at, field, index)
                                  : reflection.MutableMessage(at, field);
      }
      static_cast<v1::Tensor*>(at)->Swap(&placed.tensor);
    }
  }

 private:
  // A step from a message to one of its fields and, if that is repeated, to one of its elements.
  struct Step {
    const FieldDescriptor* field;
    int index;
  };
  struct Placed {
    std::vector<Step> steps;  // from the whole message to the tensor
    v1::Tensor tensor;
  };

  absl::Status ConvertField(const FieldDescriptor& field, const std::string& path, Json& value) {
    if (field.is_map()) return absl::OkStatus();  // maps of the schema contain no tensors or enums
    if (!field.is_repeated()) return ConvertElement(field, 0, path, value);
    if (!value.is_array()) return Error(path, "is no array; want one");
    for (size_t i = 0; i < value.size(); ++i) {
      absl::Status status =
          ConvertElement(field, static_cast<int>(i), absl::StrCat(path, "[", i, "]"), value[i]);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ConvertElement(const FieldDescriptor& field, int index, const std::string& path,
                              Json& value) {
    if (value.is_null()) return Error(path, "is null; want a value, or leave it out");
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_ENUM:
        return ConvertEnum(*field.enum_type(), path, value);
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        steps_.push_back({&field, index});
        absl::Status status = ConvertMessage(*field.message_type(), path, value);
        steps_.pop_back();
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

  // Reads a tensor from nested arrays or the file that is named, and leaves an empty message in the
  // JSON.
  absl::Status TakeTensor(const std::string& path, Json& value) {
    absl::StatusOr<v1::Tensor> tensor =
        value.is_array()
            ? TensorFromNestedArray(value, path)
            : ReadArray(std::filesystem::path(folder_) / value.get<std::string>(), room_);
    if (!tensor.ok() && !value.is_array()) return Error(path, tensor.status().message(), ": ");
    if (!tensor.ok()) return tensor.status();
    if (value.is_string()) room_ -= tensor->data().size();
    value = Json::object();
    tensors_.push_back({steps_, *std::move(tensor)});
    return absl::OkStatus();
  }

  const std::string& folder_;
  uint64_t room_;            // bytes that arrays of further files may have
  std::vector<Step> steps_;  // to the value that is being converted
  std::vector<Placed> tensors_;
};

}  // namespace

absl::Status FromFriendlyJson(Json value, const ArrayFiles& files, const std::string& path,
                              Message& message) {
  Converter converter(files);
  absl::Status status = converter.ConvertMessage(*message.GetDescriptor(), path, value);
  if (!status.ok()) return status;
  const google::protobuf::util::Status parsed = google::protobuf::util::JsonStringToMessage(
      value.dump(-1, ' ', false, Json::error_handler_t::replace), &message);
  if (!parsed.ok()) {
    return Error(path, absl::StrCat("does not fit: ", std::string(parsed.message())));
  }
  converter.PlaceTensors(message);
  return absl::OkStatus();
}

}  // namespace attention::client
