#ifndef ATTENTION_SERVER_LAYER_WATCH_H_
#define ATTENTION_SERVER_LAYER_WATCH_H_

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "server/engine/engine.h"
#include "server/models/layer_store.h"

namespace attention {

// Keeps the health of each stored layer true: looks every second which layers there are, also by
// the hand of other servers that share the folder, compiles what calls for new ones will run, and
// then says that they serve; or that they do not, where the newest version is damaged or none is
// left. On a thread of its own, so that health answers at once whatever is loaded or computed.
class LayerWatch {
 public:
  // Told of every change. Must not throw.
  using OnHealth = std::function<void(const std::string& layer, bool serving)>;

  // Looks once, here, and then on until it is destroyed. The references must outlive it.
  LayerWatch(engine::Engine& engine, engine::LayerStore& layers, OnHealth on_health);
  ~LayerWatch();

 private:
  // A name's newest version, and when it was made: a name can be deleted and used again.
  using Newest = std::pair<int64_t, absl::Time>;
  void CompareLayers();

  engine::Engine& engine_;
  engine::LayerStore& layers_;
  const OnHealth on_health_;
  std::map<std::string, Newest> known_;  // of one thread at a time
  absl::Notification end_;
  std::thread thread_;
};

}  // namespace attention

#endif  // ATTENTION_SERVER_LAYER_WATCH_H_
