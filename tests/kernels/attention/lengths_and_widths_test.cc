// Every length and width at which the operator does something else, against the oracle.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "kernels/attention/attention_products.h"
#include "tests/kernels/problem.h"
#include "tests/sweep.h"

namespace attention {
namespace {

struct Case {
  ProblemShape shape;
  ComputeType compute_type = ComputeType::kFloat32;
};

std::vector<Case> Lengths() {
  std::vector<Case> cases;
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    if (!SweepsAll()) {
      for (const int64_t q_len : {1, 9, 17, 65})
        cases.push_back({{2, q_len, 70, 4, 2, 8, 8}, type});
      for (const int64_t tile : AttentionProducts::kKeyTiles) {
        cases.push_back({{1, 20, tile + 1, 2, 2, 8, 8}, type});
      }
      continue;
    }
    // 1, 2, 3, 17, around each tile of rows (16, 64), around the most rows that are read in place.
    for (const int64_t q_len : {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 63, 64, 65, 130}) {
      cases.push_back({{2, q_len, 70, 4, 2, 8, 8}, type});
    }
    cases.push_back({{1, 1000, 33, 2, 1, 8, 8}, type});
    std::vector<int64_t> kv_lens = {1, 2, 3, 17, 1000};
    for (const int64_t tile : AttentionProducts::kKeyTiles) {
      kv_lens.insert(kv_lens.end(), {tile - 1, tile, tile + 1});
    }
    for (const int64_t kv_len : kv_lens) {
      for (const int64_t q_len : {1, 20}) cases.push_back({{1, q_len, kv_len, 2, 2, 8, 8}, type});
    }
  }
  return cases;
}

std::vector<Case> Widths() {
  std::vector<Case> cases;
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    const std::vector<int64_t> some = {3, 40, 128}, all = {1, 3, 8, 40, 64, 80, 96, 128, 256};
    for (const int64_t dim : SweepsAll() ? all : some) {
      for (const int64_t q_len : {3, 20}) {
        cases.push_back({{1, q_len, 100, 2, 1, dim, dim}, type});
        cases.push_back({{1, q_len, 70, 2, 2, dim, dim % 7 + 60}, type});
      }
    }
  }
  return cases;
}

class LengthsAndWidths : public testing::TestWithParam<Case> {
 protected:
  void Expect(const char* what) {
    SCOPED_TRACE(what);
    ASSERT_TRUE(problem_.Run().ok());
    ExpectMatchesOracle(problem_);
  }
  // A mask [q_len, kv_len or less], the same for all heads and sequences.
  void SetMask(MaskView mask, int64_t key_count) {
    mask.row_stride = mask.key_count = key_count;
    for (AttentionSequence& s : problem_.sequences) s.mask = mask;
  }

  Problem problem_ = Problem(GetParam().shape);
};

TEST_P(LengthsAndWidths, MatchTheOracle) {
  const ProblemShape& shape = GetParam().shape;
  problem_.compute_type = GetParam().compute_type;
  Expect("full");
  problem_.settings.causal = true;
  Expect("causal");

  const std::vector<float> biases = RandomFloats(shape.q_len * shape.kv_len, 8);
  SetMask({.bias = biases.data()}, shape.kv_len);
  Expect("causal, float mask");
  problem_.settings.causal = false;
  std::vector<uint8_t> visible;
  for (const float bias : biases) visible.push_back(bias < 0.6f ? 1 : 0);
  SetMask({.visible = visible.data()}, shape.kv_len);
  Expect("bool mask");
  if (shape.kv_len > 1) SetMask({.visible = visible.data()}, shape.kv_len - 1);
  Expect("bool mask that is too short");
}

TEST_P(LengthsAndWidths, GiveTheSameBitsFromMisalignedMemory) {
  problem_.compute_type = GetParam().compute_type;
  ASSERT_TRUE(problem_.Run().ok());
  const std::vector<float> output = problem_.output, weights = problem_.weights;
  const auto query = Misaligned(problem_.query), key = Misaligned(problem_.key);
  const auto value = Misaligned(problem_.value);
  const auto move = [](HeadsView& view, const std::vector<float>& from,
                       const std::vector<std::byte>& to) {
    view.data = to.data() + 1 + (view.data - reinterpret_cast<const std::byte*>(from.data()));
  };
  for (AttentionSequence& s : problem_.sequences) {
    move(s.query, problem_.query, query);
    move(s.key.current, problem_.key, key);
    move(s.value.current, problem_.value, value);
  }
  ASSERT_TRUE(problem_.Run().ok());
  EXPECT_EQ(problem_.output, output);
  EXPECT_EQ(problem_.weights, weights);
}

std::string Name(const testing::TestParamInfo<Case>& info) {
  const auto& [s, type] = info.param;
  return absl::StrCat(type == ComputeType::kBfloat16 ? "Bfloat16" : "Float32", "_q", s.q_len, "_kv",
                      s.kv_len, "_d", s.head_dim, "_v", s.v_head_dim);
}

INSTANTIATE_TEST_SUITE_P(Lengths, LengthsAndWidths, testing::ValuesIn(Lengths()), Name);
INSTANTIATE_TEST_SUITE_P(Widths, LengthsAndWidths, testing::ValuesIn(Widths()), Name);

}  // namespace
}  // namespace attention
