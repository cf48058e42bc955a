#ifndef ATTENTION_CLIENT_CLI_COMMANDS_HTTP_HEALTH_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_HTTP_HEALTH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attention::client {

// Whether the server is ready, as http://ADDRESS/readyz of its --metrics_port tells: for a
// container's own health check, which then needs no certificates where calls go over TLS.
// `address` is HOST:PORT. OK: it is; UNAVAILABLE: nobody answers there in time, or it is not;
// INVALID_ARGUMENT: no such address.
absl::Status CheckReady(const std::string& address, absl::Duration timeout);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_HTTP_HEALTH_H_
