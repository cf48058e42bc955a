#ifndef ATTENTION_CLIENT_CLI_VIEWS_ATTENTION_MAPS_H_
#define ATTENTION_CLIENT_CLI_VIEWS_ATTENTION_MAPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attention/v1/attention_service.pb.h"
#include "client/cli/files/request_file.h"
#include "client/cli/files/token_names.h"
#include "client/cli/views/grid.h"

// What `explain` draws, as text or as a picture: the attention weights of a response, split by
// layer, sequence and head.
namespace attention::client {

// Who attends to whom, in one sequence and head: queries are rows, keys are columns.
struct AttentionMap {
  std::string which;  // such as ", layer 1, head 0"; empty if there is only one
  Grid grid;          // its numbers belong to the file, the response or AttentionMaps
  TokenNames names;
};

struct AttentionMaps {
  std::vector<AttentionMap> maps;           // the first kMaxMaps; more would be too many to read
  int64_t count = 0;                        // how many there are in all
  std::vector<std::vector<float>> weights;  // the numbers of the grids, where they were converted
};
inline constexpr int64_t kMaxMaps = 64;

// Returns a note such as "(64 of 144 heat maps)\n", or "" if no map is left out.
std::string LeftOutNote(const AttentionMaps& maps);

// Returns the maps of the server's response to file.request or *file.encode after AskForExplanation
// (explain_view.h). They refer to numbers of both arguments, which must outlive them.
//
// INVALID_ARGUMENT if file.request is a ragged batch. INTERNAL if the attention weights are missing
// or do not fit their shape.
absl::StatusOr<AttentionMaps> MapsOf(const RequestFile& file,
                                     const v1::ComputeAttentionResponse& response);
absl::StatusOr<AttentionMaps> MapsOf(const RequestFile& file, const v1::EncodeResponse& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_ATTENTION_MAPS_H_
