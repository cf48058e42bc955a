// Layers that PyTorch wrote, uploaded as they are: the server gives what PyTorch gives. The script
// that made them lies beside them: tests/data/torch_layers/make_layers.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "tests/server/stored_layers.h"

namespace attention {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kLayers = fs::path(ATTENTION_TEST_DATA) / "torch_layers";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kLayers)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// By how much results may differ from PyTorch's, relative to the largest.
//
// bfloat16: a factor of a product is rounded by up to 2^-9 of itself, so a sum of products of two
// such by 2^-8 of its size. A layer has four such products one behind the other, each of whose
// errors the norms and residuals hand on about as large as they are; the cases have up to three
// layers. Errors of single products are independent, so they add up as squares do: 2^-8 times the
// root of 4 * 3, and a margin of 2 for the largest among some hundred numbers.
double Tolerance(v1::ComputeType type) {
  return type == v1::COMPUTE_TYPE_BFLOAT16 ? 2 * std::sqrt(12.0) / 256 : 1e-5;
}

void ExpectNear(const v1::Tensor& got, const json& want, double tolerance, const char* what) {
  const auto values = client::FloatValues(got);
  ASSERT_TRUE(values.ok()) << what << ": " << values.status();
  ASSERT_EQ(values->size(), want.size()) << what;
  double largest = 0, worst = 0;
  for (size_t i = 0; i < values->size(); ++i) {
    largest = std::max(largest, std::abs(want[i].get<double>()));
    worst = std::max(worst, std::abs(want[i].get<double>() - (*values)[i]));
    ASSERT_FALSE(std::isnan((*values)[i])) << what;
  }
  EXPECT_LE(worst, tolerance * largest) << what;
}

template <typename Request>
Request RequestFrom(const json& text, const std::string& layer, v1::ComputeType type) {
  Request request;
  const auto status = google::protobuf::util::JsonStringToMessage(text.dump(), &request);
  EXPECT_TRUE(status.ok()) << status.message();
  request.mutable_config()->set_compute_type(type);
  if constexpr (std::is_same_v<Request, v1::EncodeRequest>) {
    request.mutable_layer()->set_name(layer);
  } else {
    request.mutable_tokens()->mutable_layer()->set_name(layer);
  }
  return request;
}

class TorchLayers : public ServerWithLayers, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    RunningServer::SetUp();
    const fs::path folder = kLayers / GetParam();
    const auto layer = UploadBytes(*client_, GetParam(), FileText(folder / "config.json"),
                                   FileText(folder / "model.safetensors"));
    ASSERT_TRUE(layer.ok()) << layer.status();
    calls_ = json::parse(FileText(folder / "case.json"));
    ASSERT_FALSE(calls_.empty());
  }

  void ExpectTorchsResults(v1::ComputeType type) const {
    const double tolerance = Tolerance(type);
    for (const json& call : calls_) {
      if (call.contains("attention")) {
        const auto got =
            Compute(RequestFrom<v1::ComputeAttentionRequest>(call["attention"], GetParam(), type));
        ExpectNear(got.output(), call["output"], tolerance, "output");
        ExpectNear(got.attention_weights(), call["attention_weights"], tolerance, "weights");
        continue;
      }
      const auto got = Encode(RequestFrom<v1::EncodeRequest>(call["encode"], GetParam(), type));
      ExpectNear(got.hidden_states(), call["hidden_states"], tolerance, "hidden states");
      ExpectNear(got.pooled(), call["pooled"], tolerance, "pooled");
      if (!call.contains("probe_hidden_states")) continue;
      ASSERT_EQ(got.probes_size(), 1);
      ExpectNear(got.probes(0).hidden_states(), call["probe_hidden_states"], tolerance,
                 "probed hidden states");
      ExpectNear(got.probes(0).attention_weights(), call["probe_attention_weights"], tolerance,
                 "probed weights");
    }
  }

  json calls_;
};

TEST_P(TorchLayers, GiveWhatPyTorchGives) { ExpectTorchsResults(v1::COMPUTE_TYPE_FLOAT32); }

TEST_P(TorchLayers, GiveNearlyThatInBfloat16) { ExpectTorchsResults(v1::COMPUTE_TYPE_BFLOAT16); }

INSTANTIATE_TEST_SUITE_P(, TorchLayers, testing::ValuesIn(Names()),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace attention
