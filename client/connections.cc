#include "client/connections.h"

#include <algorithm>
#include <utility>

namespace attention::client {
namespace {

// A connection with fewer bytes to send than this has room for one more call: it needs about 0.25
// ms for them at 1 GB/s.
constexpr size_t kLittle = size_t{256} << 10;
static_assert(Connections::kManyBytes > kLittle);

}  // namespace

absl::StatusOr<std::unique_ptr<Connections>> Connections::Create(const ClientOptions& options,
                                                                 const Credentials& credentials) {
  std::unique_ptr<Connections> result(new Connections);
  ClientOptions unwatched = options;
  unwatched.health_checks = false;
  auto channel = CreateChannel(unwatched, credentials);
  if (!channel.ok()) return channel.status();
  result->unwatched_ = std::make_shared<Connection>(*std::move(channel));
  for (int i = 0; i < options.connections; ++i) {
    // Clients of one target may share their first connection; the other connections must be
    // separate.
    const ConnectionKind kind = i == 0 ? ConnectionKind::kShared : ConnectionKind::kOwn;
    channel = CreateChannel(options, credentials, kind);
    if (!channel.ok()) return channel.status();
    result->connections_.push_back(std::make_shared<Connection>(*std::move(channel)));
  }
  return result;
}

const std::shared_ptr<Connection>& Connections::Choose(size_t request_bytes,
                                                       const Connection* avoid) const {
  const auto begin = connections_.begin(), end = connections_.end();
  const auto has_room = [&](const auto& connection) {
    const size_t bytes = connection->bytes;
    return connection.get() != avoid && (bytes == 0 || bytes + request_bytes <= kLittle);
  };
  if (const auto first = std::find_if(begin, end, has_room); first != end) return *first;
  return *std::min_element(begin, end, [avoid](const auto& a, const auto& b) {
    if (a.get() == avoid || b.get() == avoid) return a.get() != avoid;
    return a->bytes.load() < b->bytes.load();
  });
}

Connections::Place Connections::PlaceOn(const std::shared_ptr<Connection>& chosen,
                                        size_t request_bytes) {
  const bool none_serves =
      chosen->channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_TRANSIENT_FAILURE;
  return Place(none_serves ? unwatched_ : chosen, request_bytes);  // constructed in place, since a
                                                                   // Place cannot be moved
}

Connections::Place Connections::Take(size_t request_bytes, const Connection* avoid) {
  const absl::MutexLock lock(&mutex_);
  return PlaceOn(Choose(request_bytes, avoid), request_bytes);
}

Connections::Place Connections::TakeKnown(size_t request_bytes, absl::Time deadline) {
  const std::shared_ptr<Connection>& chosen = [&]() -> const std::shared_ptr<Connection>& {
    const absl::MutexLock lock(&mutex_);
    return Choose(request_bytes, /*avoid=*/nullptr);
  }();
  const auto known = [](grpc_connectivity_state state) {
    return state != GRPC_CHANNEL_IDLE && state != GRPC_CHANNEL_CONNECTING;
  };
  grpc::Channel& channel = *chosen->channel;
  for (auto state = channel.GetState(/*try_to_connect=*/true); !known(state);
       state = channel.GetState(/*try_to_connect=*/true)) {
    if (!channel.WaitForStateChange(state, absl::ToChronoTime(deadline))) break;
  }
  return PlaceOn(chosen, request_bytes);  // the state of `chosen` is known, that of another
                                          // connection may not be
}

}  // namespace attention::client
