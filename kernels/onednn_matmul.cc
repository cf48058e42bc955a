#include "kernels/onednn_matmul.h"

#include <omp.h>

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace attention {
namespace {

using Tag = dnnl::memory::format_tag;
constexpr auto kFloat32 = dnnl::memory::data_type::f32;

// The one CPU engine that all primitives share.
const dnnl::engine& CpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// Debian's oneDNN shares its work out over OpenMP, with a thread count that is fixed when a
// primitive is made and must be the same when it runs. The count is a property of the calling
// thread.
void UseOneThread() { omp_set_num_threads(1); }

int64_t FloatsFor(std::size_t bytes) {
  return static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
}

// oneDNN takes memory by non-const pointers, also what it only reads.
dnnl::memory Wrap(const dnnl::memory::desc& desc, const float* data) {
  return dnnl::memory(desc, CpuEngine(), const_cast<float*>(data));
}

// Brings B from one plain layout into the packed one.
struct Packing {
  dnnl::reorder::primitive_desc desc;
  dnnl::reorder reorder;

  Packing() = default;
  Packing(const dnnl::memory::desc& plain, const dnnl::memory::desc& packed,
          const dnnl::primitive_attr& attributes)
      : desc(CpuEngine(), plain, CpuEngine(), packed, attributes), reorder(desc) {}

  void Run(const float* b, float* packed, float* scratch) const {
    UseOneThread();
    dnnl::stream stream(CpuEngine());
    reorder.execute(stream, {{DNNL_ARG_FROM, Wrap(desc.src_desc(), b)},
                             {DNNL_ARG_TO, Wrap(desc.dst_desc(), packed)},
                             {DNNL_ARG_SCRATCHPAD, Wrap(desc.scratchpad_desc(), scratch)}});
  }
};

}  // namespace

struct OnednnMatmul::Impl {
  Config config;
  dnnl::matmul::primitive_desc desc;
  dnnl::matmul product;
  Packing pack;
  Packing pack_transposed;

  explicit Impl(const Config& wanted);
};

OnednnMatmul::Impl::Impl(const Config& wanted) : config(wanted) {
  const dnnl::memory::desc a({config.m, config.k}, kFloat32, Tag::ab);
  const dnnl::memory::desc b({config.k, config.n}, kFloat32, config.packed_b ? Tag::any : Tag::ab);
  const dnnl::memory::desc c({config.m, config.n}, kFloat32, Tag::ab);
  dnnl::primitive_attr attributes;
  // Only with scratch memory from the caller may several threads run one primitive.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (config.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::desc operation =
      config.has_bias ? dnnl::matmul::desc(a, b, {{1, config.n}, kFloat32, Tag::ab}, c)
                      : dnnl::matmul::desc(a, b, c);
  desc = dnnl::matmul::primitive_desc(operation, attributes, CpuEngine());
  product = dnnl::matmul(desc);
  if (!config.packed_b) return;
  const dnnl::memory::desc plain({config.k, config.n}, kFloat32, Tag::ab);
  const dnnl::memory::desc transposed({config.k, config.n}, kFloat32, Tag::ba);
  dnnl::primitive_attr packing;
  packing.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  pack = Packing(plain, desc.weights_desc(), packing);
  pack_transposed = Packing(transposed, desc.weights_desc(), packing);
}

OnednnMatmul::OnednnMatmul(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<OnednnMatmul> OnednnMatmul::Create(const Config& config) {
  if (config.m < 1 || config.k < 1 || config.n < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a matrix product [", config.m, ", ", config.k,
                                                   "] x [", config.k, ", ", config.n,
                                                   "] has an empty side"));
  }
  UseOneThread();
  try {
    return OnednnMatmul(std::make_shared<const Impl>(config));
  } catch (const dnnl::error& e) {
    const std::string message =
        absl::StrCat("oneDNN cannot make the matrix product [", config.m, ", ", config.k, "] x [",
                     config.k, ", ", config.n, "]: ", e.what());
    return e.status == dnnl_invalid_arguments ? absl::InvalidArgumentError(message)
                                              : absl::InternalError(message);
  }
}

const OnednnMatmul::Config& OnednnMatmul::config() const { return impl_->config; }

int64_t OnednnMatmul::packed_b_size() const {
  return FloatsFor(impl_->desc.weights_desc().get_size());
}

int64_t OnednnMatmul::scratch_size() const {
  std::size_t bytes = impl_->desc.scratchpad_desc().get_size();
  if (impl_->config.packed_b) {
    bytes = std::max({bytes, impl_->pack.desc.scratchpad_desc().get_size(),
                      impl_->pack_transposed.desc.scratchpad_desc().get_size()});
  }
  return FloatsFor(bytes);
}

void OnednnMatmul::PackB(const float* b, float* packed, float* scratch) const {
  impl_->pack.Run(b, packed, scratch);
}

void OnednnMatmul::PackTransposedB(const float* b_transposed, float* packed, float* scratch) const {
  impl_->pack_transposed.Run(b_transposed, packed, scratch);
}

void OnednnMatmul::Run(const float* a, const float* b, float* c, float* scratch,
                       const float* bias) const {
  UseOneThread();
  dnnl::stream stream(CpuEngine());
  std::unordered_map<int, dnnl::memory> arguments = {
      {DNNL_ARG_SRC, Wrap(impl_->desc.src_desc(), a)},
      {DNNL_ARG_WEIGHTS, Wrap(impl_->desc.weights_desc(), b)},
      {DNNL_ARG_DST, Wrap(impl_->desc.dst_desc(), c)},
      {DNNL_ARG_SCRATCHPAD, Wrap(impl_->desc.scratchpad_desc(), scratch)}};
  if (impl_->config.has_bias) {
    arguments.emplace(DNNL_ARG_BIAS, Wrap(impl_->desc.bias_desc(), bias));
  }
  impl_->product.execute(stream, arguments);
}

}  // namespace attention
