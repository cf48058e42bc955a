#ifndef ATTENTION_SERVER_OPS_AUTHORIZER_H_
#define ATTENTION_SERVER_OPS_AUTHORIZER_H_

#include <grpcpp/security/auth_metadata_processor.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/ops/policy.h"

namespace attention::ops {

// Asks the policy in a file about every call, of any service, before its message is read; refuses
// with PERMISSION_DENIED. Thread-safe. The lock guards which policy holds; that is read from its
// file and asked without it, and no other lock is taken under it.
class Authorizer final : public grpc::AuthMetadataProcessor {
 public:
  // Called for each refusal: the call's path and the caller, as they were sent.
  using OnDenied = std::function<void(const Policy::Call& call)>;

  // Fails as Policy::FromFile.
  static absl::StatusOr<std::shared_ptr<Authorizer>> Create(const std::string& file,
                                                            OnDenied on_denied);

  // Reads the file again; where that fails, the policy stays as it was.
  absl::Status Reload();

 private:
  Authorizer(std::string file, Policy policy, OnDenied on_denied);
  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* peer,
                       OutputMetadata* consumed, OutputMetadata* response) override;

  const std::string file_;
  const OnDenied on_denied_;
  absl::Mutex mutex_;
  std::shared_ptr<const Policy> policy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_AUTHORIZER_H_
