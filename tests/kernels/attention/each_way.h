#ifndef ATTENTION_TESTS_KERNELS_ATTENTION_EACH_WAY_H_
#define ATTENTION_TESTS_KERNELS_ATTENTION_EACH_WAY_H_

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/kernels/problem.h"

namespace attention {

// A test for each way through the operator: keys of one short block, of several units and of
// several blocks; query rows that read them in place, of one small tile, and of several tiles.
struct Rows {
  const char* name;
  int64_t q_len;
  int64_t group;
};

class EachWay : public testing::TestWithParam<std::tuple<Rows, int64_t, ComputeType>> {
 protected:
  static constexpr int64_t kBatch = 2, kKvHeads = 2, kDim = 3;

  static int64_t q_len() { return std::get<0>(GetParam()).q_len; }
  static int64_t kv_len() { return std::get<1>(GetParam()); }
  static ComputeType compute_type() { return std::get<2>(GetParam()); }
  static ProblemShape Shape() {
    return {kBatch,   q_len(), kv_len(), kKvHeads * std::get<0>(GetParam()).group,
            kKvHeads, kDim,    kDim};
  }
  static int64_t MaskSize() {
    const ProblemShape s = Shape();
    return s.batch * s.num_heads * s.q_len * s.kv_len;
  }

  // Gives the problem a dense mask [batch, num_heads, q_len, kv_len].
  template <typename T>
  void SetMask(const std::vector<T>& mask) {
    const ProblemShape s = Shape();
    for (int64_t b = 0; b < s.batch; ++b) {
      MaskView& view = problem_.sequences[b].mask;
      view = {.head_stride = s.q_len * s.kv_len, .row_stride = s.kv_len, .key_count = s.kv_len};
      const T* const first = mask.data() + b * s.num_heads * s.q_len * s.kv_len;
      if constexpr (std::is_same_v<T, float>) view.bias = first;
      if constexpr (std::is_same_v<T, uint8_t>) view.visible = first;
    }
  }

  void Run() {
    problem_.compute_type = compute_type();
    const absl::Status status = problem_.Run();
    ASSERT_TRUE(status.ok()) << status;
  }
  void RunAgainstOracle() {
    Run();
    ExpectMatchesOracle(problem_);
  }
  double SumOfWeights(int64_t row) const {
    double sum = 0;
    for (int64_t j = 0; j < kv_len(); ++j) sum += problem_.weights[row * kv_len() + j];
    return sum;
  }

  Problem problem_ = Problem(Shape());
};

inline std::string WayName(const testing::TestParamInfo<EachWay::ParamType>& info) {
  const auto& [rows, keys, type] = info.param;
  return absl::StrCat(rows.name, keys, "Keys", type == ComputeType::kFloat32 ? "" : "Bfloat16");
}

// For INSTANTIATE_TEST_SUITE_P, with WayName.
inline auto AllWays() {
  return testing::Combine(
      testing::Values(Rows{"InPlace", 5, 1}, Rows{"Tile", 5, 4}, Rows{"Tiles", 70, 1}),
      testing::Values<int64_t>(7, 100, 700),
      testing::Values(ComputeType::kFloat32, ComputeType::kBfloat16));
}

}  // namespace attention

#endif  // ATTENTION_TESTS_KERNELS_ATTENTION_EACH_WAY_H_
