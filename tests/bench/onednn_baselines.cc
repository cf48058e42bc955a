#include "tests/bench/onednn_baselines.h"

#include <omp.h>

#include <cmath>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/onednn/onednn_versions.h"
#include "kernels/simd/convert.h"

namespace attention {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
constexpr auto kFloat32 = memory::data_type::f32;

const dnnl::engine& Cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::data_type Operand(ComputeType type) {
  return type == ComputeType::kBfloat16 ? memory::data_type::bf16 : kFloat32;
}

// oneDNN's threads for what the calling thread makes and runs from here on.
void UseThreads(int threads) { omp_set_num_threads(threads); }

dnnl::primitive_attr Attributes(float scale = 1) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (scale != 1) {
    dnnl::post_ops post_ops;
    onednn::AppendEltwise(post_ops, dnnl::algorithm::eltwise_linear, scale);
    attributes.set_post_ops(post_ops);
  }
  return attributes;
}

// A primitive and its arguments, all in memory of their own.
struct Step {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;

  void Run(dnnl::stream& stream) const { primitive.execute(stream, arguments); }
};

// C = scale * A B.
Step Product(const memory::desc& a, const memory::desc& b, const memory::desc& c, float scale) {
  const auto desc = onednn::MatmulDesc(Cpu(), a, b, nullptr, c, Attributes(scale));
  return {dnnl::matmul(desc),
          {{DNNL_ARG_SRC, memory(desc.src_desc(), Cpu())},
           {DNNL_ARG_WEIGHTS, memory(desc.weights_desc(), Cpu())},
           {DNNL_ARG_DST, memory(desc.dst_desc(), Cpu())},
           {DNNL_ARG_SCRATCHPAD, memory(desc.scratchpad_desc(), Cpu())}}};
}

// Over the last axis.
Step Softmax(const memory& rows) {
  const memory::desc scores = rows.get_desc();
  const auto desc = onednn::SoftmaxDesc(
      Cpu(), scores, static_cast<int>(onednn::Dims(scores).size()) - 1, Attributes());
  return {dnnl::softmax_forward(desc),
          {{DNNL_ARG_SRC, rows},
           {DNNL_ARG_DST, rows},
           {DNNL_ARG_SCRATCHPAD, memory(desc.scratchpad_desc(), Cpu())}}};
}

Step Copy(const memory& from, const memory& to) {
  const dnnl::reorder::primitive_desc desc(from, to, Attributes());
  return {dnnl::reorder(desc),
          {{DNNL_ARG_FROM, from},
           {DNNL_ARG_TO, to},
           {DNNL_ARG_SCRATCHPAD, memory(desc.scratchpad_desc(), Cpu())}}};
}

// S = scale * Q K^T, softmax, P V, with operands that are read where they lie. `key` is K^T.
std::vector<Step> AttentionInPlace(const memory& query, const memory& key, const memory& value,
                                   const memory& output, const memory::desc& scores, float scale) {
  Step score = Product(query.get_desc(), key.get_desc(), scores, scale);
  Step combine = Product(scores, value.get_desc(), output.get_desc(), 1);
  score.arguments[DNNL_ARG_SRC] = query;
  score.arguments[DNNL_ARG_WEIGHTS] = key;
  combine.arguments[DNNL_ARG_SRC] = score.arguments[DNNL_ARG_DST];
  combine.arguments[DNNL_ARG_WEIGHTS] = value;
  combine.arguments[DNNL_ARG_DST] = output;
  return {score, Softmax(score.arguments[DNNL_ARG_DST]), combine};
}

// A number of A and of B at [row, column], such that sums of products are exact in all types.
float Number(int64_t row, int64_t column) { return static_cast<float>((3 * row + column) % 5) - 2; }

memory Numbers(int64_t rows, int64_t columns) {
  memory numbers({{rows, columns}, kFloat32, Tag::ab}, Cpu());
  auto* const data = static_cast<float*>(numbers.get_data_handle());
  for (int64_t i = 0; i < rows * columns; ++i) data[i] = Number(i / columns, i % columns);
  return numbers;
}

}  // namespace

struct Ceiling::Impl {
  std::vector<Step> parts;  // one a thread
};

Ceiling::Ceiling(ComputeType compute_type, int threads) : impl_(std::make_unique<Impl>()) {
  UseThreads(1);
  dnnl::stream stream(Cpu());
  const int64_t rows = kSide / threads;
  for (int t = 0; t < threads; ++t) {
    Step part = Product({{rows, kSide}, Operand(compute_type), Tag::ab},
                        {{kSide, kSide}, Operand(compute_type), Tag::any},
                        {{rows, kSide}, kFloat32, Tag::ab}, 1);
    Copy(Numbers(rows, kSide), part.arguments[DNNL_ARG_SRC]).Run(stream);
    Copy(Numbers(kSide, kSide), part.arguments[DNNL_ARG_WEIGHTS]).Run(stream);
    impl_->parts.push_back(std::move(part));
  }
}

Ceiling::~Ceiling() = default;

void Ceiling::Run(Executor& executor) const {
  const auto count = static_cast<int64_t>(impl_->parts.size());
  executor
      .ParallelFor(count,
                   [&](int64_t part, Workspace&) {
                     UseThreads(1);
                     dnnl::stream stream(Cpu());
                     impl_->parts[part].Run(stream);
                     return absl::OkStatus();
                   })
      .IgnoreError();
}

std::string Ceiling::Compare() const {
  for (const Step& part : impl_->parts) {
    const auto* const got =
        static_cast<const float*>(part.arguments.at(DNNL_ARG_DST).get_data_handle());
    for (int64_t i = 0; i < 5; ++i) {
      const int64_t row = 7 * i, column = 201 * i;
      float want = 0;
      for (int64_t k = 0; k < kSide; ++k) want += Number(row, k) * Number(k, column);
      if (got[row * kSide + column] != want) {
        return absl::StrCat("the ceiling's product is ", got[row * kSide + column], " at [", row,
                            ", ", column, "]; want ", want);
      }
    }
  }
  return "";
}

// The steps for one head on one thread.
struct Composition::Head {
  dnnl::stream stream{Cpu()};
  memory query, key, value, output;  // views of the problem's memory, pointed at a head each time
  std::vector<Step> steps;

  explicit Head(const BenchProblem& problem) {
    const BenchShape& s = problem.shape;
    const memory::dim stride = s.num_heads * s.head_dim, kv_stride = s.num_kv_heads * s.head_dim;
    const auto view = [&](const memory::dims& size, const memory::dims& strides) {
      return memory({size, Operand(s.compute_type), strides}, Cpu(), nullptr);
    };
    query = view({s.q_len, s.head_dim}, {stride, 1});
    key = view({s.head_dim, s.kv_len}, {1, kv_stride});  // K^T
    value = view({s.kv_len, s.head_dim}, {kv_stride, 1});
    output = view({s.q_len, s.head_dim}, {stride, 1});
    steps =
        s.bfloat16() ? Converted(s, problem.settings.scale) : InPlace(s, problem.settings.scale);
  }

  std::vector<Step> InPlace(const BenchShape& s, float scale) const {
    const memory::desc scores = {{s.q_len, s.kv_len}, kFloat32, Tag::ab};
    return AttentionInPlace(query, key, value, output, scores, scale);
  }

  std::vector<Step> Converted(const BenchShape& s, float scale) const {
    const auto operand = Operand(s.compute_type);
    const memory::desc scores = {{s.q_len, s.kv_len}, operand, Tag::ab};
    Step score = Product({{s.q_len, s.head_dim}, operand, Tag::ab},
                         {{s.head_dim, s.kv_len}, operand, Tag::any}, scores, scale);
    Step combine =
        Product(scores, {{s.kv_len, s.head_dim}, operand, Tag::any}, output.get_desc(), 1);
    combine.arguments[DNNL_ARG_SRC] = score.arguments[DNNL_ARG_DST];
    combine.arguments[DNNL_ARG_DST] = output;
    return {Copy(query, score.arguments[DNNL_ARG_SRC]),
            Copy(key, score.arguments[DNNL_ARG_WEIGHTS]),
            Copy(value, combine.arguments[DNNL_ARG_WEIGHTS]),
            score,
            Softmax(score.arguments[DNNL_ARG_DST]),
            combine};
  }

  void Run(const AttentionSequence& s, int64_t head, int64_t kv_head) {
    query.set_data_handle(const_cast<std::byte*>(s.query.Row(head, 0)));
    key.set_data_handle(const_cast<std::byte*>(s.key.Row(kv_head, 0)));
    value.set_data_handle(const_cast<std::byte*>(s.value.Row(kv_head, 0)));
    output.set_data_handle(s.results.output.Row(head, 0));
    UseThreads(1);
    for (const Step& step : steps) step.Run(stream);
  }
};

// The steps for all heads.
struct Composition::Whole {
  dnnl::stream stream{Cpu()};
  std::vector<Step> steps;

  explicit Whole(const BenchProblem& problem) {
    UseThreads(problem.shape.threads);
    const BenchShape& s = problem.shape;
    const auto type = Operand(s.compute_type);
    const memory::dim dim = s.head_dim, heads = s.num_kv_heads, group = s.num_heads / heads;
    const memory::dim row = s.num_heads * dim, kv_row = heads * dim;
    // A tensor [batch, key/value heads, heads of a group, rows, columns] in the problem's memory.
    // The third axis is left out where nothing is grouped: oneDNN is faster without it.
    const auto shape_of = [&](memory::dims size, memory::dims strides) {
      if (group == 1) {
        size.erase(size.begin() + 2);
        strides.erase(strides.begin() + 2);
      }
      return memory::desc(size, type, strides);
    };
    const auto view = [&](const std::vector<std::byte>& data, const memory::dims& size,
                          const memory::dims& strides) {
      return memory(shape_of(size, strides), Cpu(), const_cast<std::byte*>(data.data()));
    };
    const memory::dims q_strides = {s.q_len * row, group * dim, dim, row, 1};
    const memory query = view(problem.query, {s.batch, heads, group, s.q_len, dim}, q_strides);
    const memory key = view(problem.key, {s.batch, heads, 1, dim, s.kv_len},
                            {s.kv_len * kv_row, dim, dim, 1, kv_row});  // K^T
    const memory value = view(problem.value, {s.batch, heads, 1, s.kv_len, dim},
                              {s.kv_len * kv_row, dim, dim, kv_row, 1});
    const memory output = view(problem.output, {s.batch, heads, group, s.q_len, dim}, q_strides);
    const memory::dim square = s.q_len * s.kv_len;
    const memory::desc scores =
        shape_of({s.batch, heads, group, s.q_len, s.kv_len},
                 {heads * group * square, group * square, square, s.kv_len, 1});
    steps = AttentionInPlace(query, key, value, output, scores, problem.settings.scale);
  }

  void Run(int threads) {
    UseThreads(threads);
    for (const Step& step : steps) step.Run(stream);
  }
};

Composition::Composition(const BenchProblem& problem, Form form) : problem_(problem) {
  if (form == Form::kWhole) {
    whole_ = std::make_unique<Whole>(problem);
    return;
  }
  UseThreads(1);
  for (int t = 0; t < problem.shape.threads; ++t) heads_.push_back(std::make_unique<Head>(problem));
}

Composition::~Composition() = default;

void Composition::Run(Executor& executor) const {
  if (whole_ != nullptr) return whole_->Run(problem_.shape.threads);
  const int64_t num_heads = problem_.shape.num_heads, all = problem_.shape.batch * num_heads;
  const auto threads = static_cast<int64_t>(heads_.size());
  executor
      .ParallelFor(threads,
                   [&](int64_t thread, Workspace&) {
                     for (int64_t i = thread; i < all; i += threads) {
                       const int64_t head = i % num_heads;
                       heads_[thread]->Run(problem_.sequences[i / num_heads], head,
                                           problem_.settings.KvHead(head));
                     }
                     return absl::OkStatus();
                   })
      .IgnoreError();
}

}  // namespace attention
