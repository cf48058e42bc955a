#ifndef ATTENTION_SERVER_OPS_TLS_H_
#define ATTENTION_SERVER_OPS_TLS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace attention::ops {

// Files in PEM form.
struct TlsFiles {
  std::string certificate;  // of the server, and below it those between it and the root
  std::string key;          // of the first of them
  std::string client_ca;    // roots of the clients' certificates; empty: clients need none

  bool empty() const { return certificate.empty(); }
};

// Whether the files can be read and belong together. INVALID_ARGUMENT or NOT_FOUND, naming the
// file.
absl::Status CheckTlsFiles(const TlsFiles& files);

// TLS 1.2 or later, and mutual TLS where there is a client_ca. The files are looked at every
// second: when they change, new connections get the new ones. They should change together, by
// renaming the folder or a symbolic link to it, since a certificate beside another's key is good
// for nobody.
std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const TlsFiles& files);

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_TLS_H_
