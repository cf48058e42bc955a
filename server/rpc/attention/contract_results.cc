#include "server/rpc/attention/contract_results.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attention::rpc {
namespace {

// By the values of ResultAxis.
constexpr absl::string_view kAxisNames[] = {"batch",    "num_heads",  "num_kv_heads",
                                            "q_len",    "kv_len",     "new_len",
                                            "head_dim", "v_head_dim", "top_k"};

ResultAxis AxisOf(const std::string& name) {
  const auto* const it = std::find(std::begin(kAxisNames), std::end(kAxisNames), name);
  if (it == std::end(kAxisNames)) throw std::logic_error(absl::StrCat("no axis ", name));
  return static_cast<ResultAxis>(it - std::begin(kAxisNames));
}

ListedResult Listed(const google::protobuf::EnumValueDescriptor& value) {
  const v1::ResultInfo& info = value.options().GetExtension(v1::result);
  ListedResult listed;
  listed.number = static_cast<v1::Result>(value.number());
  listed.field = v1::ComputeAttentionResponse::descriptor()->FindFieldByName(info.field());
  const auto* const row =
      std::find_if(std::begin(engine::kResults), std::end(engine::kResults),
                   [&](const engine::ResultRow& other) { return other.field == info.field(); });
  if (listed.field == nullptr || row == std::end(engine::kResults)) {
    throw std::logic_error(absl::StrCat(value.name(), " has no field or no row"));
  }
  const bool of_keys = row->numbers == engine::NumbersOf::kTopKeys;
  const auto* const type = of_keys ? v1::TopKeys::descriptor() : v1::Tensor::descriptor();
  if (listed.field->message_type() != type) {
    throw std::logic_error(absl::StrCat(info.field(), " is no ", type->name()));
  }
  listed.row = row;
  for (const std::string& name : info.axes()) listed.axes.push_back(AxisOf(name));
  return listed;
}

// Throws where the contract and the server's table do not list the same: a mistake of ours, which
// no server survives that starts.
std::vector<ListedResult> List() {
  const google::protobuf::EnumDescriptor& all = *v1::Result_descriptor();
  std::vector<ListedResult> list;
  for (int i = 0; i < all.value_count(); ++i) {
    if (all.value(i)->options().HasExtension(v1::result)) list.push_back(Listed(*all.value(i)));
  }
  if (list.size() != engine::kResultCount) throw std::logic_error("results without a row");
  return list;
}

}  // namespace

absl::Span<const ListedResult> ListedResults() {
  static const auto* const list = new std::vector<ListedResult>(List());
  return *list;
}

const ListedResult* FindResult(int number) {
  for (const ListedResult& listed : ListedResults()) {
    if (listed.number == number) return &listed;
  }
  return nullptr;
}

}  // namespace attention::rpc
