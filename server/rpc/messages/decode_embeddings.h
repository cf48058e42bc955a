#ifndef ATTENTION_SERVER_RPC_MESSAGES_DECODE_EMBEDDINGS_H_
#define ATTENTION_SERVER_RPC_MESSAGES_DECODE_EMBEDDINGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/rpc/messages/decode_tensor.h"

// Tensors of token embeddings, in whose place callers may send token ids by mistake. Embeddings
// that are whole numbers are as good as others; but where a tensor of such cannot be meant as
// embeddings, by its type or by its shape, the error says where token ids belong.
namespace attention::rpc {

// As DecodeNumbers. `takes` is what takes token ids, such as "Encode".
absl::StatusOr<TensorView> DecodeEmbeddings(const v1::Tensor& tensor, absl::string_view field,
                                            absl::string_view takes);

// What to add to an error about the shape of embeddings: empty, or, where the numbers may be token
// ids, whole and none negative, what takes those. Looks at the first 1024 numbers.
std::string TokenIdsHint(const TensorView& embeddings, absl::string_view takes);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_DECODE_EMBEDDINGS_H_
