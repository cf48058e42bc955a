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

// What `explain` draws, whether as text or as a picture: the attention weights of a response, taken
// apart by layer, sequence and head.
namespace attention::client {

// Who attends to whom, in one sequence and head: queries are rows, keys are columns.
struct AttentionMap {
  std::string which;  // ", layer 1, head 0"; empty where there is but one
  Grid grid;          // of numbers that the file, the response or AttentionMaps owns
  TokenNames names;
};

struct AttentionMaps {
  std::vector<AttentionMap> maps;           // the first kMaxMaps; more say nothing to a reader
  int64_t count = 0;                        // how many there are in all
  std::vector<std::vector<float>> weights;  // what the grids show, where it was converted
};
inline constexpr int64_t kMaxMaps = 64;

// "(64 of 144 heat maps)\n", or "" where all are there.
std::string LeftOutNote(const AttentionMaps& maps);

// The maps of the server's response to file.request or *file.encode after AskForExplanation
// (explain_view.h). They show numbers of both arguments, which must outlive them.
//
// INVALID_ARGUMENT: a ragged batch of file.request. INTERNAL: the attention weights are missing or
// not what their shape says.
absl::StatusOr<AttentionMaps> MapsOf(const RequestFile& file,
                                     const v1::ComputeAttentionResponse& response);
absl::StatusOr<AttentionMaps> MapsOf(const RequestFile& file, const v1::EncodeResponse& response);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_ATTENTION_MAPS_H_
