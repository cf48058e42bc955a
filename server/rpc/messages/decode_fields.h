#ifndef ATTENTION_SERVER_RPC_MESSAGES_DECODE_FIELDS_H_
#define ATTENTION_SERVER_RPC_MESSAGES_DECODE_FIELDS_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attention/v1/attention.pb.h"
#include "server/engine/attention_call.h"
#include "server/rpc/messages/decode_tensor.h"
#include "server/rpc/messages/make_tensor.h"
#include "server/rpc/messages/request_limits.h"

// The checks that sources and requests share. `field` is always the path from the request, and what
// does not fit is a FieldError.
namespace attention::rpc {

// How many results one request may name: several times as many as there are.
inline constexpr int kMaxResults = 64;

// A float tensor that must be set.
absl::StatusOr<TensorView> Required(bool present, const v1::Tensor& tensor,
                                    absl::string_view field);

// That the shape is `want`, whose axes are called `names` in the error.
absl::Status WantShape(const TensorView& tensor, absl::Span<const int64_t> want,
                       absl::string_view names, absl::string_view field);

// That `fits`; the error says that the shape should be `want`.
absl::Status WantRank(const TensorView& tensor, bool fits, absl::string_view want,
                      absl::string_view field);

// Sets num_heads and num_kv_heads from the settings. Where they are 0, they are what a shape
// implies; num_kv_heads is num_heads where none does.
absl::Status DecodeHeads(const v1::AttentionConfig& config, int64_t implied_heads,
                         std::optional<int64_t> implied_kv_heads, engine::CallShape& shape);

// That two tensors agree in one size: `field` is to have the `size` that `as` has.
absl::Status WantSame(int64_t got, int64_t want, absl::string_view size, absl::string_view as,
                      absl::string_view field);

// The width of one head where `heads` of them lie side by side in `tensor`'s last axis.
absl::StatusOr<int64_t> HeadWidth(const TensorView& tensor, int64_t heads,
                                  absl::string_view heads_name, absl::string_view field);

// That config.head_dim is unset or says what the shapes say.
absl::Status CheckHeadDim(const v1::AttentionConfig& config, int64_t head_dim);

// That `config` has no field set but those with the numbers `allowed`; the error says `why`.
absl::Status RefuseOtherFields(const v1::AttentionConfig& config, absl::Span<const int> allowed,
                               absl::string_view why);

// A request_id as it may be logged and sent back: one that CheckEnvelope refuses is left out.
absl::string_view ShownRequestId(absl::string_view request_id);

// That the request is no larger than `limits` says, and its request_id not too long.
absl::Status CheckEnvelope(const google::protobuf::Message& request, absl::string_view request_id,
                           const RequestLimits& limits);

// In which form results go: as `format` says, which a request's result_format is; where it says
// nothing, as `tokens` came. FieldError for a format that is none.
absl::StatusOr<ResultForm> DecodeResultForm(v1::ResultFormat format, const v1::Tensor& tokens);

// That results of so many bytes fit into a response.
absl::Status CheckResponseBytes(double bytes, const RequestLimits& limits);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_DECODE_FIELDS_H_
