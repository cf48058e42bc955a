#include "tests/bench/bench_problem.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "absl/strings/str_cat.h"
#include "kernels/convert.h"
#include "kernels/reference_attention.h"

namespace attention {
namespace {

std::vector<float> RandomFloats(int64_t count, unsigned seed) {
  std::minstd_rand generator(seed);
  std::uniform_real_distribution<float> distribution(-1.7f, 1.7f);  // variance 1
  std::vector<float> numbers(count);
  for (float& x : numbers) x = distribution(generator);
  return numbers;
}

std::vector<std::byte> RandomNumbers(int64_t count, unsigned seed, DataType type) {
  std::vector<std::byte> numbers(count * ByteSize(type));
  FromFloat32(RandomFloats(count, seed).data(), count, type, numbers.data());
  return numbers;
}

// Some of `count` things: the ends, and what lies evenly between.
std::set<int64_t> Sample(int64_t count, int64_t most) {
  std::set<int64_t> sample;
  for (int64_t i = 0; i < most; ++i)
    sample.insert(i * (count - 1) / std::max<int64_t>(1, most - 1));
  return sample;
}

// float32 is promised to 1e-5 of the largest output. bfloat16: Q, K, P and V are each rounded by at
// most 2^-9 of their size; a score may be as large as 4.
double Tolerance(const BenchShape& shape) { return shape.bfloat16() ? 8.0 / 512 : 1e-5; }

// Compares `rows`, which row_of(row) finds, with `want` [rows, columns], relative to its largest.
// Empty, or what is wrong.
template <typename RowOf>
std::string CompareRows(const char* name, const std::vector<int64_t>& rows,
                        const std::vector<double>& want, int64_t columns, double relative,
                        RowOf row_of) {
  double largest = 0;
  for (const double x : want) largest = std::max(largest, std::abs(x));
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto* const got = reinterpret_cast<const float*>(row_of(rows[r]));
    for (int64_t i = 0; i < columns; ++i) {
      const double wanted = want[r * columns + i];
      if (std::abs(got[i] - wanted) <= relative * largest) continue;
      return absl::StrCat(name, ": row ", rows[r], ", column ", i, " is ", got[i], "; want ",
                          wanted, " within ", relative * largest);
    }
  }
  return "";
}

}  // namespace

std::string BenchShape::Name(const std::string& family, const std::string& middle) const {
  return absl::StrCat(family, bfloat16() ? "/bf16/" : "/f32/", middle, middle.empty() ? "" : "/",
                      "b", batch, "/n", kv_len, "/h", num_heads, "/g", num_kv_heads, "/d", head_dim,
                      "/t", threads);
}

double BenchShape::Flops() const {
  return 4.0 * static_cast<double>(batch * num_heads * head_dim) * static_cast<double>(q_len) *
         static_cast<double>(kv_len);
}

BenchProblem::BenchProblem(const BenchShape& s, DataType stored, bool head_major)
    : shape(s),
      sequences(s.batch),
      query(RandomFloats(s.batch * s.q_len * s.num_heads * s.head_dim, 1)),
      output(query.size()),
      key(RandomNumbers(s.batch * s.kv_len * s.num_kv_heads * s.head_dim, 2, stored)),
      value(RandomNumbers(s.batch * s.kv_len * s.num_kv_heads * s.head_dim, 3, stored)) {
  settings.num_heads = s.num_heads;
  settings.num_kv_heads = s.num_kv_heads;
  settings.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(s.head_dim)));
  for (int64_t b = 0; b < s.batch; ++b) {
    const int64_t rows = b * s.q_len * s.num_heads * s.head_dim;
    const auto stored_view = [&](const std::vector<std::byte>& numbers) -> HeadsView {
      const std::byte* const data =
          numbers.data() + b * s.kv_len * s.num_kv_heads * s.head_dim * ByteSize(stored);
      return head_major ? HeadMajorView(data, stored, s.kv_len, s.head_dim)
                        : TokenMajorView(data, stored, s.num_kv_heads, s.head_dim);
    };
    AttentionSequence& sequence = sequences[b];
    sequence.q_len = s.q_len;
    sequence.kv_len = sequence.visible_len = s.kv_len;
    sequence.query = TokenMajorView(reinterpret_cast<const std::byte*>(query.data() + rows),
                                    DataType::kFloat32, s.num_heads, s.head_dim);
    sequence.key.current = stored_view(key);
    sequence.value.current = stored_view(value);
    sequence.results.output = TokenMajorView(reinterpret_cast<std::byte*>(output.data() + rows),
                                             DataType::kFloat32, s.num_heads, s.head_dim);
  }
}

void BenchProblem::Run(const AttentionOp& op, Executor& executor) const {
  const absl::Status status = op.Run(settings, sequences, executor);
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

std::string BenchProblem::Compare() const {
  for (const int64_t b : Sample(shape.batch, 2)) {
    for (const int64_t head : Sample(shape.num_heads, 3)) {
      const std::string wrong = CompareHead(sequences[b], head);
      if (!wrong.empty()) return absl::StrCat("sequence ", b, ", head ", head, ": ", wrong);
    }
  }
  return "";
}

// The head's sampled rows are a sequence of their own for the oracle.
std::string BenchProblem::CompareHead(const AttentionSequence& sequence, int64_t head) const {
  const int64_t dim = shape.head_dim, kv_head = settings.KvHead(head);
  const std::set<int64_t> sample = Sample(shape.q_len, 5);
  const std::vector<int64_t> rows(sample.begin(), sample.end());
  std::vector<float> queries;
  for (const int64_t row : rows) {
    const auto* const from = reinterpret_cast<const float*>(sequence.query.Row(head, row));
    queries.insert(queries.end(), from, from + dim);
  }
  AttentionSettings one = settings;
  one.num_heads = one.num_kv_heads = 1;
  if (!one.alibi_slopes.empty()) one.alibi_slopes = one.alibi_slopes.subspan(head, 1);
  AttentionSequence s = sequence;
  s.q_len = static_cast<int64_t>(rows.size());
  s.query_positions = rows;
  s.query = HeadMajorView(reinterpret_cast<const std::byte*>(queries.data()), DataType::kFloat32,
                          s.q_len, dim);
  s.key.current.data = sequence.key.current.Row(kv_head, 0);
  s.value.current.data = sequence.value.current.Row(kv_head, 0);

  const ReferenceResult want = ReferenceAttention(one, s, dim, dim);
  const AttentionResults& results = sequence.results;
  const auto compare = [&](const char* name, const std::vector<double>& wanted, int64_t columns,
                           auto row_of) {
    return CompareRows(name, rows, wanted, columns, Tolerance(shape), row_of);
  };
  const auto dense_row = [&](const std::byte* numbers) {
    return [this, numbers, head](int64_t row) {
      return numbers + (head * shape.q_len + row) * shape.kv_len * ByteSize(DataType::kFloat32);
    };
  };
  std::string wrong = compare("output", want.output, dim,
                              [&](int64_t row) { return results.output.Row(head, row); });
  if (wrong.empty() && results.attention_scores != nullptr) {
    wrong = compare("scores", want.raw_scores, shape.kv_len, dense_row(results.attention_scores));
  }
  if (wrong.empty() && results.attention_weights != nullptr) {
    wrong = compare("weights", want.attention_weights, shape.kv_len,
                    dense_row(results.attention_weights));
  }
  return wrong;
}

std::vector<int> ThreadCounts() {
  const int all = static_cast<int>(std::thread::hardware_concurrency());
  return all > 1 ? std::vector<int>{1, all} : std::vector<int>{1};
}

AttentionOp MakeOp(const BenchShape& shape) {
  absl::StatusOr<AttentionOp> op = AttentionOp::Create({.head_dim = shape.head_dim,
                                                        .v_head_dim = shape.head_dim,
                                                        .compute_type = shape.compute_type});
  if (!op.ok()) throw std::runtime_error(op.status().ToString());
  return *std::move(op);
}

}  // namespace attention
