#ifndef ATTENTION_CLIENT_CLI_FILES_TOKEN_IDS_HINT_H_
#define ATTENTION_CLIENT_CLI_FILES_TOKEN_IDS_HINT_H_

namespace attention::client {

// The end of messages about embeddings that cannot be read and may be token ids. The server ends
// its messages in the same way (server/rpc/messages/decode_embeddings.h).
inline constexpr char kTokenIdsHint[] =
    "; if these are token ids, \"token_ids\" of \"encode\" takes them";

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_FILES_TOKEN_IDS_HINT_H_
