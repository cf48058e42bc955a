#include "kernels/onednn/onednn_matmul.h"

#include <algorithm>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "kernels/memory/aligned_buffer.h"
#include "kernels/onednn/onednn_engine.h"
#include "kernels/onednn/onednn_versions.h"

namespace attention {
namespace {

using Tag = dnnl::memory::format_tag;
constexpr auto kFloat32 = dnnl::memory::data_type::f32;

dnnl::memory::data_type OnednnType(DataType type) {
  return type == DataType::kBfloat16 ? dnnl::memory::data_type::bf16 : kFloat32;
}

// The operations that are applied to the results of a product before they are stored.
dnnl::post_ops PostOps(const OnednnMatmul::Config& config) {
  dnnl::post_ops post_ops;
  if (config.accumulate) post_ops.append_sum(1.0f);
  if (config.activation != Activation::kNone) {
    onednn::AppendEltwise(post_ops, OnednnAlgorithm(config.activation));
  }
  return post_ops;
}

// One primitive: `n` columns of C from one or more panels of B.
struct Product {
  dnnl::matmul::primitive_desc desc;
  dnnl::matmul primitive;
};

// Memory objects that one call at a time uses; the call points them at its own data.
struct Binding {
  explicit Binding(const Product& product)
      : stream(OnednnEngine()),
        scratch(static_cast<int64_t>(product.desc.scratchpad_desc().get_size() / sizeof(float)) +
                1),
        a(product.desc.src_desc(), OnednnEngine(), nullptr),
        b(product.desc.weights_desc(), OnednnEngine(), nullptr),
        c(product.desc.dst_desc(), OnednnEngine(), nullptr),
        bias(product.desc.bias_desc(), OnednnEngine(), nullptr),
        scratchpad(product.desc.scratchpad_desc(), OnednnEngine(), scratch.data()) {}

  dnnl::stream stream;
  AlignedBuffer scratch;
  dnnl::memory a, b, c, bias, scratchpad;
};

// The bindings of one product that are not in use. Thread-safe. The lock guards the list of them;
// bindings are made and used without it, and no other lock is taken under it.
class BindingPool {
 public:
  std::unique_ptr<Binding> Take(const Product& product) {
    {
      const absl::MutexLock lock(&mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Binding> binding = std::move(free_.back());
        free_.pop_back();
        return binding;
      }
    }
    return std::make_unique<Binding>(product);
  }

  void GiveBack(std::unique_ptr<Binding> binding) {
    const absl::MutexLock lock(&mutex_);
    free_.push_back(std::move(binding));
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Binding>> free_ ABSL_GUARDED_BY(mutex_);
};

// A part of a product: all of it if oneDNN reads every panel at once, otherwise the columns of one
// panel.
struct Part {
  Product product;
  int64_t column;   // first column of C
  int64_t b_bytes;  // offset of its first panel in B
  mutable BindingPool bindings;
};

}  // namespace

struct OnednnMatmul::Impl {
  Config config;
  bool whole = false;  // one part reads every panel
  std::vector<std::unique_ptr<Part>> parts;

  explicit Impl(const Config& wanted);
  Product MakeProduct(int64_t n, const dnnl::memory::desc& b) const;
};

// If oneDNN has a kernel for our panels (AVX-512), its own blocked layout for the second operand is
// the same as ours. Otherwise each panel is given to it as a plain matrix whose rows are
// kPanelWidth apart.
OnednnMatmul::Impl::Impl(const Config& wanted) : config(wanted) {
  const auto type = OnednnType(config.operand);
  const dnnl::memory::desc chosen =
      MakeProduct(config.n, dnnl::memory::desc({config.k, config.n}, type, Tag::any))
          .desc.weights_desc();
  const Tag blocked = config.operand == DataType::kBfloat16 ? Tag::BA16a64b2a : Tag::BA16a64b;
  if (chosen == dnnl::memory::desc({config.k, config.n}, type, blocked)) {
    whole = true;
    parts.push_back(std::make_unique<Part>());
    parts[0]->product = MakeProduct(config.n, chosen);
    return;
  }
  for (int64_t column = 0; column < config.n; column += kPanelWidth) {
    const int64_t width = std::min(kPanelWidth, config.n - column);
    parts.push_back(std::make_unique<Part>());
    parts.back()->column = column;
    parts.back()->b_bytes = PackedPanelBytes(config.k, config.operand) * (column / kPanelWidth);
    parts.back()->product =
        MakeProduct(width, dnnl::memory::desc({config.k, width}, type, {kPanelWidth, 1}));
  }
}

Product OnednnMatmul::Impl::MakeProduct(int64_t n, const dnnl::memory::desc& b) const {
  const dnnl::memory::desc a({config.m, config.k}, OnednnType(config.operand), Tag::ab);
  const dnnl::memory::desc c({config.m, n}, OnednnType(config.result), {config.n, 1});
  dnnl::primitive_attr attributes;
  // Several threads may run one primitive only if the caller provides the scratch memory.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_post_ops(PostOps(config));
  const dnnl::memory::desc bias({1, n}, kFloat32, Tag::ab);
  Product product;
  product.desc =
      onednn::MatmulDesc(OnednnEngine(), a, b, config.has_bias ? &bias : nullptr, c, attributes);
  product.primitive = dnnl::matmul(product.desc);
  return product;
}

OnednnMatmul::OnednnMatmul(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

OperandFormat OnednnMatmul::OperandsFor(ComputeType compute_type) {
  if (compute_type == ComputeType::kFloat32) return {};
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto bfloat16 = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  if ((isa & bfloat16) == bfloat16) return {.operand = DataType::kBfloat16};
  return {.round_to_bfloat16 = true};
}

absl::StatusOr<OnednnMatmul> OnednnMatmul::Create(const Config& config) {
  if (config.m < 1 || config.k < 1 || config.n < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a matrix product [", config.m, ", ", config.k,
                                                   "] x [", config.k, ", ", config.n,
                                                   "] has an empty side"));
  }
  UseOneOpenMpThread();
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

bool OnednnMatmul::reads_all_panels() const { return impl_->whole; }

int64_t OnednnMatmul::scratch_bytes() const {
  std::size_t bytes = 0;
  for (const auto& part : impl_->parts) bytes += part->product.desc.scratchpad_desc().get_size();
  return static_cast<int64_t>(bytes);
}

void OnednnMatmul::Run(const void* a, const void* packed_b, void* c, const float* bias) const {
  UseOneOpenMpThread();
  const int64_t result_size = ByteSize(impl_->config.result);
  for (const std::unique_ptr<Part>& part : impl_->parts) {
    std::unique_ptr<Binding> binding = part->bindings.Take(part->product);
    // oneDNN takes non-const pointers even to memory that it only reads.
    binding->a.set_data_handle(const_cast<void*>(a));
    binding->b.set_data_handle(
        const_cast<char*>(static_cast<const char*>(packed_b) + part->b_bytes));
    binding->c.set_data_handle(static_cast<char*>(c) + part->column * result_size);
    if (bias != nullptr) binding->bias.set_data_handle(const_cast<float*>(bias + part->column));
    // We use the C interface because the C++ one first copies its arguments into a map on the heap.
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, binding->a.get()},
                                         {DNNL_ARG_WEIGHTS, binding->b.get()},
                                         {DNNL_ARG_DST, binding->c.get()},
                                         {DNNL_ARG_SCRATCHPAD, binding->scratchpad.get()},
                                         {DNNL_ARG_BIAS, binding->bias.get()}};
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(part->product.primitive.get(), binding->stream.get(),
                               impl_->config.has_bias ? 5 : 4, arguments),
        "a matrix product did not run");
    part->bindings.GiveBack(std::move(binding));
  }
}

}  // namespace attention
