#include "server/ops/authorizer.h"

#include <grpc/grpc_security_constants.h>

#include <utility>

namespace attention::ops {
namespace {

// One service by two names: a policy that was written for one of them holds for both.
constexpr absl::string_view kReflection =
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
constexpr absl::string_view kOlderReflection =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

absl::string_view OtherPath(absl::string_view path) {
  if (path == kReflection) return kOlderReflection;
  return path == kOlderReflection ? kReflection : absl::string_view();
}

absl::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

Policy::Call Describe(const grpc::AuthMetadataProcessor::InputMetadata& metadata,
                      const grpc::AuthContext& peer) {
  Policy::Call call;
  for (const char* const property : {GRPC_PEER_URI_PROPERTY_NAME, GRPC_PEER_DNS_PROPERTY_NAME,
                                     GRPC_X509_SUBJECT_PROPERTY_NAME}) {
    for (const grpc::string_ref& value : peer.FindPropertyValues(property)) {
      call.principals.push_back(View(value));
    }
  }
  for (const grpc::string_ref& type :
       peer.FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME)) {
    if (View(type) == "local") call.principals.push_back(Policy::kUnixSocket);
  }
  for (const auto& [key, value] : metadata) {
    if (View(key) == ":path") call.path = View(value);
    call.headers.emplace_back(View(key), View(value));
  }
  call.other_path = OtherPath(call.path);
  return call;
}

}  // namespace

Authorizer::Authorizer(std::string file, Policy policy, OnDenied on_denied)
    : file_(std::move(file)),
      on_denied_(std::move(on_denied)),
      policy_(std::make_shared<const Policy>(std::move(policy))) {}

absl::StatusOr<std::shared_ptr<Authorizer>> Authorizer::Create(const std::string& file,
                                                               OnDenied on_denied) {
  absl::StatusOr<Policy> policy = Policy::FromFile(file);
  if (!policy.ok()) return policy.status();
  return std::shared_ptr<Authorizer>(
      new Authorizer(file, *std::move(policy), std::move(on_denied)));
}

absl::Status Authorizer::Reload() {
  absl::StatusOr<Policy> policy = Policy::FromFile(file_);
  if (!policy.ok()) return policy.status();
  auto loaded = std::make_shared<const Policy>(*std::move(policy));
  const absl::MutexLock lock(&mutex_);
  policy_ = std::move(loaded);
  return absl::OkStatus();
}

grpc::Status Authorizer::Process(const InputMetadata& metadata, grpc::AuthContext* peer,
                                 OutputMetadata* /*consumed*/, OutputMetadata* /*response*/) {
  std::shared_ptr<const Policy> policy;
  {
    const absl::MutexLock lock(&mutex_);
    policy = policy_;
  }
  const Policy::Call call = Describe(metadata, *peer);
  if (policy->Allows(call)) return grpc::Status::OK;
  on_denied_(call);
  return {grpc::StatusCode::PERMISSION_DENIED,
          "this server's policy does not let this caller call that method"};
}

}  // namespace attention::ops
