#ifndef ATTENTION_SERVER_TRANSPORT_H_
#define ATTENTION_SERVER_TRANSPORT_H_

#include <grpcpp/server_builder.h>

#include <cstdint>

#include "server/options.h"

namespace attention {

// Sets what one connection, one call and one message may take: `transport_bytes` for all of them
// together, the limits of `options`, and how long silent, idle and old connections stay.
void LimitTransport(const ServerOptions& options, int64_t transport_bytes,
                    grpc::ServerBuilder& builder);

}  // namespace attention

#endif  // ATTENTION_SERVER_TRANSPORT_H_
