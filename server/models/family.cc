#include "server/models/family.h"

#include "server/models/families/attention.h"
#include "server/models/families/bert.h"
#include "server/models/families/torch.h"

namespace attention::engine {

absl::Span<const Family* const> Families() {
  static constexpr const Family* kFamilies[] = {
      &families::kAttention,
      &families::kMultiheadAttention,
      &families::kTorchEncoderLayer,
      &families::kTorchEncoder,
      &families::kBert,
      &families::kRoberta,
  };
  return kFamilies;
}

}  // namespace attention::engine
