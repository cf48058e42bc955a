#include "server/rpc/shared/reflection_service.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/rpc/shared/grpc_status.h"

namespace attention::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

// A question is sent back with its answer, so it must not be large. Names have some tens of bytes.
constexpr size_t kMostQuestionBytes = 4096;

// The two names of the protocol, whose messages have the same fields.
struct V1 {
  using Protocol = grpc::reflection::v1::ServerReflection;
  using Request = grpc::reflection::v1::ServerReflectionRequest;
  using Response = grpc::reflection::v1::ServerReflectionResponse;
};
struct V1Alpha {
  using Protocol = grpc::reflection::v1alpha::ServerReflection;
  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
};

// What there is to tell.
struct Catalog {
  std::vector<std::string> services;  // in the order of their names
  const DescriptorPool& pool;
  StallGuard& stalls;
};

// The answer to one question.
template <typename Version>
class Answer {
 public:
  using Request = typename Version::Request;

  Answer(const Catalog& catalog, const Request& request, typename Version::Response& response)
      : catalog_(catalog), request_(request), response_(response) {}

  void Give() {
    const size_t bytes = request_.ByteSizeLong();
    if (bytes > kMostQuestionBytes) {
      return Fail(
          grpc::StatusCode::INVALID_ARGUMENT,
          absl::StrCat("the question has ", bytes, " bytes; want at most ", kMostQuestionBytes));
    }
    response_.set_valid_host(request_.host());
    *response_.mutable_original_request() = request_;
    switch (request_.message_request_case()) {
      case Request::kFileByFilename:
        return GiveFile(catalog_.pool.FindFileByName(request_.file_by_filename()), "file",
                        request_.file_by_filename());
      case Request::kFileContainingSymbol:
        return GiveFile(catalog_.pool.FindFileContainingSymbol(request_.file_containing_symbol()),
                        "symbol", request_.file_containing_symbol());
      case Request::kFileContainingExtension:
        return GiveFileOfExtension();
      case Request::kAllExtensionNumbersOfType:
        return GiveExtensionNumbers();
      case Request::kListServices:
        for (const std::string& name : catalog_.services) {
          response_.mutable_list_services_response()->add_service()->set_name(name);
        }
        return;
      case Request::MESSAGE_REQUEST_NOT_SET:
        break;
    }
    Fail(grpc::StatusCode::INVALID_ARGUMENT,
         "message_request is not set; want one of its fields, such as list_services");
  }

 private:
  void GiveFileOfExtension() {
    const auto& asked = request_.file_containing_extension();
    const Descriptor* const type = FindType(asked.containing_type());
    if (type == nullptr) return;
    const FieldDescriptor* const extension =
        catalog_.pool.FindExtensionByNumber(type, asked.extension_number());
    GiveFile(extension == nullptr ? nullptr : extension->file(), "extension",
             absl::StrCat(asked.extension_number(), " of ", asked.containing_type()));
  }

  void GiveExtensionNumbers() {
    const std::string& name = request_.all_extension_numbers_of_type();
    const Descriptor* const type = FindType(name);
    if (type == nullptr) return;
    std::vector<const FieldDescriptor*> extensions;
    catalog_.pool.FindAllExtensions(type, &extensions);
    std::set<int> numbers;
    for (const FieldDescriptor* const extension : extensions) numbers.insert(extension->number());
    auto& answer = *response_.mutable_all_extension_numbers_response();
    answer.set_base_type_name(name);
    for (const int number : numbers) answer.add_extension_number(number);
  }

  // The file, and all that it needs; or where it is null, that there is no such thing.
  void GiveFile(const FileDescriptor* file, absl::string_view kind, absl::string_view name) {
    if (file == nullptr) return FailNotFound(kind, name);
    std::vector<const FileDescriptor*> files = {file};
    std::set<const FileDescriptor*> known = {file};
    for (size_t i = 0; i < files.size(); ++i) {  // which grows meanwhile
      google::protobuf::FileDescriptorProto described;
      files[i]->CopyTo(&described);
      response_.mutable_file_descriptor_response()->add_file_descriptor_proto(
          described.SerializeAsString());
      for (int d = 0; d < files[i]->dependency_count(); ++d) {
        const FileDescriptor* const needed = files[i]->dependency(d);
        if (known.insert(needed).second) files.push_back(needed);
      }
    }
  }

  const Descriptor* FindType(const std::string& name) {
    const Descriptor* const type = catalog_.pool.FindMessageTypeByName(name);
    if (type == nullptr) FailNotFound("message", name);
    return type;
  }

  void FailNotFound(absl::string_view kind, absl::string_view name) {
    Fail(grpc::StatusCode::NOT_FOUND, absl::StrCat("there is no ", kind, " ", name));
  }

  void Fail(grpc::StatusCode code, const std::string& message) {
    response_.mutable_error_response()->set_error_code(code);
    response_.mutable_error_response()->set_error_message(message);
  }

  const Catalog& catalog_;
  const Request& request_;
  typename Version::Response& response_;
};

// Question and answer in turn, until the client has no more. Deletes itself when gRPC is done with
// it.
template <typename Version>
class Stream final
    : public grpc::ServerBidiReactor<typename Version::Request, typename Version::Response> {
 public:
  Stream(const Catalog& catalog, grpc::CallbackServerContext& rpc)
      : catalog_(catalog), reading_(catalog.stalls, rpc) {
    this->StartRead(&request_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::OK);  // that was all, or the call was cancelled
    const grpc::Status status = Guarded([this] {
      response_.Clear();
      Answer<Version>(catalog_, request_, response_).Give();
      return grpc::Status::OK;
    });
    if (!status.ok()) return this->Finish(status);
    reading_.BeginRead(static_cast<int64_t>(response_.ByteSizeLong()));
    this->StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    reading_.End();
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    this->StartRead(&request_);
  }

  void OnDone() override { delete this; }

  const Catalog& catalog_;
  StallGuard::Wait reading_;  // an answer, by the peer
  typename Version::Request request_;
  typename Version::Response response_;
};

template <typename Version>
class Service final : public Version::Protocol::CallbackService {
 public:
  explicit Service(Catalog catalog) : catalog_(std::move(catalog)) {}

  grpc::ServerBidiReactor<typename Version::Request, typename Version::Response>*
  ServerReflectionInfo(grpc::CallbackServerContext* rpc) override {
    return new Stream<Version>(catalog_, *rpc);
  }

 private:
  const Catalog catalog_;
};

}  // namespace

ReflectionServices::ReflectionServices(std::vector<std::string> services, StallGuard& stalls,
                                       const DescriptorPool& pool) {
  // gRPC's own health service brings no description along, so this links ours in.
  services.push_back(
      grpc::health::v1::HealthCheckRequest::descriptor()->file()->service(0)->full_name());
  services.emplace_back(V1::Protocol::service_full_name());
  services.emplace_back(V1Alpha::Protocol::service_full_name());
  std::sort(services.begin(), services.end());
  // A pool knows the values of an enumeration only once it has built their file.
  for (const std::string& name : services) pool.FindFileContainingSymbol(name);
  const Catalog catalog = {.services = std::move(services), .pool = pool, .stalls = stalls};
  services_.push_back(std::make_unique<Service<V1>>(catalog));
  services_.push_back(std::make_unique<Service<V1Alpha>>(catalog));
}

ReflectionServices::~ReflectionServices() = default;

void ReflectionServices::Register(grpc::ServerBuilder& builder) {
  for (const std::unique_ptr<grpc::Service>& service : services_) {
    builder.RegisterService(service.get());
  }
}

}  // namespace attention::rpc
