#include "kernels/onednn/onednn_activation.h"

#include <oneapi/dnnl/dnnl.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/onednn/onednn_engine.h"
#include "kernels/onednn/onednn_versions.h"

namespace attention {

struct OnednnActivation::Impl {
  dnnl::memory::desc numbers;
  dnnl::eltwise_forward primitive;
};

OnednnActivation::OnednnActivation(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<OnednnActivation> OnednnActivation::Create(Activation activation, int64_t count) {
  if (activation == Activation::kNone) return OnednnActivation(nullptr);
  UseOneOpenMpThread();
  try {
    const dnnl::memory::desc numbers({count}, dnnl::memory::data_type::f32,
                                     dnnl::memory::format_tag::a);
    const auto desc = onednn::EltwiseDesc(OnednnEngine(), OnednnAlgorithm(activation), numbers);
    return OnednnActivation(
        std::make_shared<const Impl>(Impl{numbers, dnnl::eltwise_forward(desc)}));
  } catch (const dnnl::error& e) {
    return absl::InternalError(
        absl::StrCat("oneDNN cannot make an activation of ", count, " numbers: ", e.what()));
  }
}

void OnednnActivation::Run(float* x) const {
  if (impl_ == nullptr) return;
  UseOneOpenMpThread();
  const dnnl::memory numbers(impl_->numbers, OnednnEngine(), x);
  const dnnl::stream stream(OnednnEngine());
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, numbers.get()},
                                       {DNNL_ARG_DST, numbers.get()}};
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(impl_->primitive.get(), stream.get(), 2, arguments),
      "an activation did not run");
}

}  // namespace attention
