#include "server/layer_watch.h"

#include <utility>

#include "absl/time/time.h"

namespace attention {

LayerWatch::LayerWatch(engine::Engine& engine, engine::LayerStore& layers, OnHealth on_health)
    : engine_(engine), layers_(layers), on_health_(std::move(on_health)) {
  CompareLayers();
  thread_ = std::thread([this] {
    while (!end_.WaitForNotificationWithTimeout(absl::Seconds(1))) CompareLayers();
  });
}

LayerWatch::~LayerWatch() {
  end_.Notify();
  thread_.join();
}

void LayerWatch::CompareLayers() {
  const auto all = layers_.List();
  if (!all.ok()) return;  // the folder cannot be read at the moment; the layers are as they were
  std::map<std::string, Newest> now;
  for (const auto& listed : *all) {  // by name, the newest first
    const Newest newest(listed.version, listed.created);
    if (!now.emplace(listed.name, newest).second) continue;
    const auto before = known_.find(listed.name);
    if (before != known_.end() && before->second == newest) continue;
    on_health_(listed.name, listed.layer != nullptr && engine_.CompileFor(listed.layer).ok());
  }
  for (const auto& [name, newest] : known_) {
    if (now.count(name) == 0) on_health_(name, false);
  }
  known_ = std::move(now);
}

}  // namespace attention
