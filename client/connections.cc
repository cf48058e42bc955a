#include "client/connections.h"

#include <algorithm>
#include <utility>

namespace attention::client {
namespace {

// Below this a connection has room for one more call: some 0.25 ms at the 1 GB/s of a connection.
constexpr size_t kLittle = size_t{256} << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<Connections>> Connections::Create(const ClientOptions& options) {
  std::unique_ptr<Connections> result(new Connections);
  for (int i = 0; i < options.connections || i == 0; ++i) {
    // Clients of one target share their first connections; the others must not be the same.
    auto channel = CreateChannel(options, i == 0 ? ConnectionKind::kShared : ConnectionKind::kOwn);
    if (!channel.ok()) return channel.status();
    result->connections_.push_back(std::make_unique<Connection>(*std::move(channel)));
  }
  ClientOptions unwatched = options;
  unwatched.health_checks = false;
  auto channel = CreateChannel(unwatched);
  if (!channel.ok()) return channel.status();
  result->unwatched_ = std::make_unique<Connection>(*std::move(channel));
  return result;
}

Connections::Place Connections::Take(size_t request_bytes) {
  const auto begin = connections_.begin(), end = connections_.end();
  auto best = std::find_if(begin, end, [request_bytes](const auto& connection) {
    const size_t bytes = connection->bytes;
    return bytes == 0 || bytes + request_bytes <= kLittle;
  });
  if (best == end) {
    best = std::min_element(
        begin, end, [](const auto& a, const auto& b) { return a->bytes.load() < b->bytes.load(); });
  }
  const bool none_serves =
      (*best)->channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_TRANSIENT_FAILURE;
  if (none_serves) return Place(*unwatched_, request_bytes);
  return Place(**best, request_bytes);  // made where it stays
}

}  // namespace attention::client
