#include "tests/bench/bench_problem.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "absl/strings/str_cat.h"
#include "kernels/reference/reference_attention.h"
#include "kernels/simd/convert.h"

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
// most 2^-8 of their size; a score may be as large as 4.
double Tolerance(const BenchShape& shape) { return shape.bfloat16() ? 8.0 / 512 : 1e-5; }

// Compares `rows`, which row_of(row) finds, with `want` [rows, columns], relative to its largest.
// Empty, or what is wrong.
template <typename RowOf>
std::string CompareRows(const char* name, const std::vector<int64_t>& rows,
                        const std::vector<double>& want, int64_t columns, double relative,
                        DataType type, RowOf row_of) {
  double largest = 0;
  for (const double x : want) largest = std::max(largest, std::abs(x));
  for (size_t r = 0; r < rows.size(); ++r) {
    std::vector<float> got(columns);
    ToFloat32(row_of(rows[r]), type, columns, got.data());
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

BenchProblem::BenchProblem(const BenchShape& s, bool head_major)
    : shape(s),
      sequences(s.batch),
      query(RandomNumbers(s.batch * s.q_len * s.num_heads * s.head_dim, 1, s.stored())),
      key(RandomNumbers(s.batch * s.kv_len * s.num_kv_heads * s.head_dim, 2, s.stored())),
      value(RandomNumbers(s.batch * s.kv_len * s.num_kv_heads * s.head_dim, 3, s.stored())),
      output(query.size()) {
  settings.num_heads = s.num_heads;
  settings.num_kv_heads = s.num_kv_heads;
  settings.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(s.head_dim)));
  const int64_t rows = s.q_len * s.num_heads * s.head_dim * ByteSize(s.stored());  // bytes
  const int64_t kv_rows = s.kv_len * s.num_kv_heads * s.head_dim * ByteSize(s.stored());
  const auto kv_view = [&](const std::byte* data) -> HeadsView {
    return head_major ? HeadMajorView(data, s.stored(), s.kv_len, s.head_dim)
                      : TokenMajorView(data, s.stored(), s.num_kv_heads, s.head_dim);
  };
  for (int64_t b = 0; b < s.batch; ++b) {
    AttentionSequence& sequence = sequences[b];
    sequence.q_len = s.q_len;
    sequence.kv_len = sequence.visible_len = s.kv_len;
    const std::byte* const queries = query.data() + b * rows;
    sequence.query = TokenMajorView(queries, s.stored(), s.num_heads, s.head_dim);
    sequence.key.current = kv_view(key.data() + b * kv_rows);
    sequence.value.current = kv_view(value.data() + b * kv_rows);
    sequence.results.output =
        TokenMajorView(output.data() + b * rows, s.stored(), s.num_heads, s.head_dim);
  }
}

void BenchProblem::ClearOutput() { std::fill(output.begin(), output.end(), std::byte{0}); }

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
  std::vector<std::byte> queries;
  for (const int64_t row : rows) {
    const std::byte* const from = sequence.query.Row(head, row);
    queries.insert(queries.end(), from, from + dim * ByteSize(shape.stored()));
  }
  AttentionSettings one = settings;
  one.num_heads = one.num_kv_heads = 1;
  if (!one.alibi_slopes.empty()) one.alibi_slopes = one.alibi_slopes.subspan(head, 1);
  AttentionSequence s = sequence;
  s.q_len = static_cast<int64_t>(rows.size());
  s.query_positions = rows;
  s.query = HeadMajorView<const std::byte>(queries.data(), shape.stored(), s.q_len, dim);
  s.key.current.data = sequence.key.current.Row(kv_head, 0);
  s.value.current.data = sequence.value.current.Row(kv_head, 0);

  const ReferenceResult want = ReferenceAttention(one, s, dim, dim);
  const AttentionResults& results = sequence.results;
  const auto compare = [&](const char* name, const std::vector<double>& wanted, int64_t columns,
                           DataType type, auto row_of) {
    return CompareRows(name, rows, wanted, columns, Tolerance(shape), type, row_of);
  };
  const auto dense_row = [&](const std::byte* numbers) {
    return [this, numbers, head](int64_t row) {
      return numbers + (head * shape.q_len + row) * shape.kv_len *
                           ByteSize(DataType::kFloat32);  // the type of dense results
    };
  };
  std::string wrong = compare("output", want.output, dim, results.output.type,
                              [&](int64_t row) { return results.output.Row(head, row); });
  if (wrong.empty() && results.attention_scores != nullptr) {
    wrong = compare("scores", want.raw_scores, shape.kv_len, results.type,
                    dense_row(results.attention_scores));
  }
  if (wrong.empty() && results.attention_weights != nullptr) {
    wrong = compare("weights", want.attention_weights, shape.kv_len, results.type,
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
