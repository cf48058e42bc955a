#include "server/transport.h"

#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <limits>

#include "absl/time/time.h"
#include "server/host/mib.h"

namespace attention {
namespace {

// Requests a little over the limit are let in, so that they are refused as all others are, with the
// field and what is wanted. gRPC cuts off those beyond with a code of its own.
int MaxReceivedBytes(int64_t max_message_bytes) {
  const int64_t margin = std::min(max_message_bytes / 4, 16 * engine::kMib);
  return static_cast<int>(
      std::min<int64_t>(max_message_bytes + margin, std::numeric_limits<int>::max()));
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(
      std::min<int64_t>(absl::ToInt64Milliseconds(duration), std::numeric_limits<int>::max()));
}

int MillisecondsOrNever(absl::Duration duration) {
  return duration == absl::ZeroDuration() ? std::numeric_limits<int>::max()
                                          : Milliseconds(duration);
}

}  // namespace

void LimitTransport(const ServerOptions& options, int64_t transport_bytes,
                    grpc::ServerBuilder& builder) {
  // Responses carry a little more than the tensors that --max_message_mib bounds.
  constexpr int kEnvelopeBytes = 4096;
  builder.SetMaxReceiveMessageSize(MaxReceivedBytes(options.max_message_mib * engine::kMib));
  builder.SetMaxSendMessageSize(static_cast<int>(options.max_message_mib * engine::kMib) +
                                kEnvelopeBytes);
  // Calls of LayerService hold a thread each, and gRPC refuses those beyond with
  // RESOURCE_EXHAUSTED. Uploads, which may take long, have far fewer places (LayerServiceImpl).
  constexpr int kMostThreads = 256;
  builder.SetResourceQuota(grpc::ResourceQuota("attention")
                               .Resize(static_cast<size_t>(transport_bytes))
                               .SetMaxThreads(kMostThreads));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, options.max_metadata_kib << 10);

  // Who is silent is asked, who does not answer is dropped; who asks more often than every
  // kMinPing is told off.
  constexpr absl::Duration kPingTimeout = absl::Seconds(10), kMinPing = absl::Seconds(5);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kPingTimeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Milliseconds(kMinPing));
  // From connecting to the first byte that makes sense.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(kPingTimeout));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                             MillisecondsOrNever(options.max_connection_idle));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             MillisecondsOrNever(options.max_connection_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(absl::Minutes(10)));
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, options.channelz ? 1 : 0);
  // Otherwise a second server on the same port would quietly take half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace attention
