#include "server/engine/steps/project.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/onednn/onednn_matmul.h"
#include "kernels/products/linear_op.h"
#include "kernels/products/operands.h"
#include "kernels/threads/executor.h"

namespace attention::engine {
namespace {

// Rows that have to be converted before they are multiplied.
struct Conversion {
  const NumbersView* x;  // [count]
  int64_t count;
  std::byte* operands;
};

// The projections of rows of one width, which one operator computes.
struct Product {
  std::shared_ptr<const LinearOp> op;
  std::vector<LinearOp::Layer> layers;
};

absl::Status RunProjections(OperandFormat format, const std::vector<Conversion>& conversions,
                            const std::vector<Product>& products, Executor& executor) {
  absl::Status status;
  for (const Conversion& c : conversions) {
    if (status.ok())
      status = ToOperands(c.x->data, c.x->type, c.count, format, c.operands, executor);
  }
  for (const Product& product : products) {
    if (status.ok()) status = product.op->Run(product.layers, executor);
  }
  return status;
}

}  // namespace

absl::Status AddProjections(absl::string_view name, ComputeType compute_type,
                            const std::vector<Projection>& projections, Operators& operators,
                            Plan& plan) {
  const OperandFormat format = OnednnMatmul::OperandsFor(compute_type);
  std::vector<Conversion> conversions;
  std::vector<Product> products;
  for (const Projection& p : projections) {
    const int64_t in = p.linear->weight.in;
    const std::byte* operands = p.x->data;
    if (!AreOperands(p.x->type, format)) {
      auto converted = std::find_if(conversions.begin(), conversions.end(),
                                    [&](const Conversion& c) { return c.x == p.x; });
      if (converted == conversions.end()) {
        const int64_t count = p.rows * in;
        converted = conversions.insert(
            converted, {p.x, count, plan.Reserve<std::byte>(count * ByteSize(format.operand))});
      }
      operands = converted->operands;
    }
    const absl::StatusOr<std::shared_ptr<const LinearOp>> op =
        operators.linear.Get({.in = in, .compute_type = compute_type});
    if (!op.ok()) return op.status();
    if (plan.is_counted()) plan.Count((*op)->Memory());
    auto product = std::find_if(products.begin(), products.end(),
                                [&](const Product& other) { return other.op == *op; });
    if (product == products.end()) product = products.insert(product, {*op, {}});
    product->layers.push_back({.x = operands, .rows = p.rows, .linear = *p.linear, .y = p.y});
  }
  plan.Add(name, [format, conversions = std::move(conversions),
                  products = std::move(products)](Executor& executor) {
    return RunProjections(format, conversions, products, executor);
  });
  return absl::OkStatus();
}

}  // namespace attention::engine
