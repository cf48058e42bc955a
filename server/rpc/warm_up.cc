#include "server/rpc/warm_up.h"

#include <cstdint>
#include <variant>

#include "attention/v1/attention_service.pb.h"
#include "server/engine/job.h"
#include "server/rpc/attention/decode_request.h"
#include "server/rpc/encoder/decode_encode.h"
#include "server/rpc/messages/make_tensor.h"

namespace attention::rpc {
namespace {

// As a caller's request would be; what it asks for decides what is compiled.
template <typename Request>
absl::Status Compile(const ComputeContext& context, const Request& request) {
  const auto decoded = DecodeRequest(request, context.limits, context.layers);
  if (!decoded.ok()) return decoded.status();
  engine::Job job;
  job.call = &decoded->call;
  return context.engine.Compile(job);
}

absl::Status CompileModel(const ComputeContext& context, const std::string& name,
                          const engine::AttentionModel& model) {
  v1::ComputeAttentionRequest request;
  v1::TokensSource& source = *request.mutable_tokens();
  source.mutable_layer()->set_name(name);
  MakeFloats({1, model.d_model}, ResultForm::kBytes, *source.mutable_tokens());
  MakeFloats({1, model.d_context}, ResultForm::kBytes, *source.mutable_context());
  request.add_results(v1::RESULT_OUTPUT);
  return Compile(context, request);
}

absl::Status CompileModel(const ComputeContext& context, const std::string& name,
                          const engine::EncoderModel& model) {
  v1::EncodeRequest request;
  request.mutable_layer()->set_name(name);
  MakeFloats({1, model.shape.d_model}, ResultForm::kBytes, *request.mutable_embeddings());
  return Compile(context, request);
}

}  // namespace

absl::Status CompileUsualWidths(const ComputeContext& context) {
  for (const int64_t head_dim : {64, 128}) {
    v1::ComputeAttentionRequest request;
    v1::ProjectedSource& source = *request.mutable_projected();
    for (v1::Tensor* const tensor :
         {source.mutable_query(), source.mutable_key(), source.mutable_value()}) {
      MakeFloats({1, 1, 1, head_dim}, ResultForm::kBytes, *tensor);
    }
    request.add_results(v1::RESULT_OUTPUT);
    if (absl::Status status = Compile(context, request); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CompileLayer(const ComputeContext& context, const engine::StoredLayer& layer) {
  return std::visit([&](const auto& model) { return CompileModel(context, layer.name(), model); },
                    layer.model());
}

}  // namespace attention::rpc
