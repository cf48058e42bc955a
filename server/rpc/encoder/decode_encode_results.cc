#include "server/rpc/encoder/decode_encode_results.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

constexpr int kMaxProbes = 256;

std::string ResultText(v1::EncodeResult result) {
  return v1::EncodeResult_IsValid(result) ? v1::EncodeResult_Name(result)
                                          : absl::StrCat("unknown: ", static_cast<int>(result));
}

absl::Status DecodeResults(const v1::EncodeRequest& request, engine::EncodeCall& call) {
  if (request.results_size() > kMaxResults) {
    return FieldError("results", absl::StrCat("has ", request.results_size(),
                                              " elements; want at most ", kMaxResults));
  }
  for (int i = 0; i < request.results_size(); ++i) {
    const v1::EncodeResult result = request.results(i);
    if (result == v1::ENCODE_RESULT_HIDDEN_STATES) {
      call.want_hidden_states = true;
    } else if (result == v1::ENCODE_RESULT_POOLED) {
      call.want_pooled = true;
    } else {
      return FieldError(absl::StrCat("results[", i, "]"),
                        absl::StrCat("is ", ResultText(result),
                                     "; want ENCODE_RESULT_HIDDEN_STATES or ENCODE_RESULT_POOLED"));
    }
  }
  if (request.results().empty()) call.want_hidden_states = call.want_pooled = true;
  call.pooling.normalize = request.normalize();
  if (request.pooling() == v1::POOLING_FIRST_TOKEN) call.pooling.pooling = Pooling::kFirstToken;
  return absl::OkStatus();
}

absl::Status DecodeProbe(const v1::Probe& probe, const engine::EncoderModel& model,
                         const std::string& field, engine::EncodeProbe& to) {
  const auto layers = static_cast<int64_t>(model.layers.size());
  const int64_t heads = model.shape.num_heads;
  if (probe.layer() < 0 || probe.layer() >= layers) {
    return FieldError(field + ".layer", absl::StrCat("is ", probe.layer(), "; want 0 to ",
                                                     layers - 1, " = num_layers - 1"));
  }
  if (probe.first_head() < 0 || probe.first_head() >= heads) {
    return FieldError(field + ".first_head", absl::StrCat("is ", probe.first_head(), "; want 0 to ",
                                                          heads - 1, " = num_heads - 1"));
  }
  const int64_t most = heads - probe.first_head();
  if (probe.num_heads() < 0 || probe.num_heads() > most) {
    return FieldError(field + ".num_heads", absl::StrCat("is ", probe.num_heads(), "; want 1 to ",
                                                         most, ", or 0 for all"));
  }
  to.layer = probe.layer();
  to.first_head = probe.first_head();
  to.num_heads = probe.num_heads() == 0 ? most : probe.num_heads();
  constexpr char kWant[] = "ENCODE_RESULT_HIDDEN_STATES, _ATTENTION_SCORES or _ATTENTION_WEIGHTS";
  if (probe.results().empty() || probe.results_size() > kMaxResults) {
    return FieldError(field + ".results",
                      absl::StrCat("has ", probe.results_size(), " elements; want 1 to ",
                                   kMaxResults, " of ", kWant));
  }
  for (int i = 0; i < probe.results_size(); ++i) {
    switch (probe.results(i)) {
      case v1::ENCODE_RESULT_HIDDEN_STATES:
        to.want_hidden_states = true;
        break;
      case v1::ENCODE_RESULT_ATTENTION_SCORES:
        to.want_attention_scores = true;
        break;
      case v1::ENCODE_RESULT_ATTENTION_WEIGHTS:
        to.want_attention_weights = true;
        break;
      default:
        return FieldError(absl::StrCat(field, ".results[", i, "]"),
                          absl::StrCat("is ", ResultText(probe.results(i)), "; want ", kWant));
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeProbes(const v1::EncodeRequest& request, engine::EncodeCall& call) {
  if (request.probes_size() > kMaxProbes) {
    return FieldError("probes", absl::StrCat("has ", request.probes_size(),
                                             " elements; want at most ", kMaxProbes));
  }
  for (int i = 0; i < request.probes_size(); ++i) {
    absl::Status status = DecodeProbe(request.probes(i), call.model(),
                                      absl::StrCat("probes[", i, "]"), call.probes.emplace_back());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeEncodeResults(const v1::EncodeRequest& request, engine::EncodeCall& call) {
  absl::Status status = DecodeResults(request, call);
  return status.ok() ? DecodeProbes(request, call) : status;
}

}  // namespace attention::rpc
