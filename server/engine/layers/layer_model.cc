#include "server/engine/layers/layer_model.h"

namespace attention::engine {

std::vector<Linear*> Linears(LayerModel& model) {
  if (auto* const attention = std::get_if<AttentionModel>(&model)) {
    Projections& p = attention->projections;
    std::vector<Linear*> linears = {&p.q, &p.k, &p.v};
    if (p.o.has_value()) linears.push_back(&*p.o);
    return linears;
  }
  std::vector<Linear*> linears;
  for (EncoderLayer& layer : std::get<EncoderModel>(model).layers) {
    for (Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.up, &layer.down}) {
      linears.push_back(linear);
    }
  }
  return linears;
}

}  // namespace attention::engine
