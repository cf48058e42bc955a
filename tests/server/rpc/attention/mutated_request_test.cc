// Requests that chance has damaged: each is refused with a clear error or can be run, and nothing
// reads or allocates beyond what is there. Most useful under AddressSanitizer.
#include <gtest/gtest.h>

#include <latch>
#include <random>
#include <string>
#include <vector>

#include "client/tensor.h"
#include "server/engine/engine.h"
#include "server/rpc/attention/decode_request.h"
#include "server/rpc/attention/write_response.h"

namespace attention::rpc {
namespace {

using client::MakeTensor;

std::vector<v1::ComputeAttentionRequest> Seeds() {
  const v1::Tensor x = MakeTensor({2, 2}, {1, 2, 3, 4});
  std::vector<v1::ComputeAttentionRequest> seeds(6);
  *seeds[0].mutable_tokens()->mutable_tokens() = x;
  *seeds[0].mutable_tokens()->mutable_projection_weights()->mutable_q_proj() = x;
  *seeds[0].mutable_tokens()->mutable_projection_weights()->mutable_k_proj() = x;
  *seeds[0].mutable_tokens()->mutable_projection_weights()->mutable_v_proj() = x;
  *seeds[0].mutable_tokens()->mutable_projection_weights()->mutable_o_proj() = x;
  *seeds[0].mutable_config()->mutable_mask() =
      client::MakeBoolTensor({2, 2}, {true, false, true, true});
  *seeds[1].mutable_projected()->mutable_query() = x;
  *seeds[1].mutable_projected()->mutable_key() = x;
  *seeds[1].mutable_projected()->mutable_value() = x;
  *seeds[1].mutable_config()->mutable_mask() = x;
  seeds[1].add_query_indices(1);
  *seeds[2].mutable_weighted()->mutable_attention_weights() = x;
  *seeds[2].mutable_weighted()->mutable_value() = x;
  seeds[2].add_results(v1::RESULT_TOP_KEYS);
  seeds[2].set_top_k(2);
  *seeds[3].mutable_tokens() = seeds[0].tokens();
  for (const int len : {1, 0, 1}) seeds[3].mutable_tokens()->add_q_lens(len);
  seeds[3].mutable_config()->mutable_rotary()->set_rotary_dim(2);
  seeds[3].mutable_config()->set_compute_type(v1::COMPUTE_TYPE_BFLOAT16);
  *seeds[4].mutable_projected() = seeds[1].projected();
  *seeds[4].mutable_projected()->mutable_past_key() = MakeTensor({1, 1, 1, 2}, {1, 2});
  *seeds[4].mutable_projected()->mutable_past_value() =
      MakeTensor({1, 1, 1, 2}, {1, 2}, v1::DATA_TYPE_FLOAT16);
  seeds[4].mutable_projected()->add_kv_lens(2);
  seeds[4].mutable_config()->set_left_window(1);
  seeds[4].mutable_config()->add_alibi_slopes(1);
  seeds[4].mutable_config()->add_sinks(0);
  seeds[4].mutable_config()->set_softcap(2);
  for (const auto result : {v1::RESULT_OUTPUT, v1::RESULT_PRESENT_KEY, v1::RESULT_LOG_SUM_EXP}) {
    seeds[4].add_results(result);
  }
  for (int i = 0; i < 2; ++i) {
    v1::PartialResult& part = *seeds[5].mutable_partials()->add_parts();
    *part.mutable_output() = x;
    *part.mutable_log_sum_exp() = MakeTensor({1, 1, 2}, {1, 2});
  }
  return seeds;
}

TEST(MutatedRequests, AreRefusedOrRun) {
  const auto layers = engine::LayerStore::Open({});
  ASSERT_TRUE(layers.ok()) << layers.status();
  engine::Engine engine({.threads = 1}, (*layers)->packed());
  std::mt19937 generator(7);
  int refused = 0, ran = 0;
  for (const v1::ComputeAttentionRequest& seed : Seeds()) {
    const std::string bytes = seed.SerializeAsString();
    for (int round = 0; round < 4000; ++round) {
      std::string damaged = bytes;
      const int changes = 1 + generator() % 3;
      for (int i = 0; i < changes; ++i) damaged[generator() % damaged.size()] = generator() % 256;
      v1::ComputeAttentionRequest request;
      if (!request.ParseFromString(damaged)) continue;
      auto decoded =
          DecodeRequest(request, {.max_message_bytes = 1 << 20, .max_tokens = 64}, **layers);
      if (!decoded.ok()) {
        ASSERT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
        ASSERT_FALSE(decoded.status().message().empty());
        ++refused;
        continue;
      }
      v1::ComputeAttentionResponse response;
      std::latch done(1);
      const auto job = std::make_shared<engine::Job>();
      job->call = &decoded->call;
      job->prepare = [&] {
        MakeRoom(*decoded, response);
        return absl::OkStatus();
      };
      job->done = [&](const absl::Status&, const engine::CallTiming&) { done.count_down(); };
      ASSERT_TRUE(engine.Submit(job).ok());
      done.wait();
      ++ran;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(ran, 1000);
}

}  // namespace
}  // namespace attention::rpc
