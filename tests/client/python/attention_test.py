"""Attention through the Python client against numpy in double precision."""

import dataclasses
import unittest

from running_server import ServerTest, attention, np

import attention_client as ac
from attention_client import _protocol
from attention_client.results import result_names


class Attention(ServerTest):
    def setUp(self):
        self.random = np.random.default_rng(1)

    def floats(self, *shape):
        return self.random.normal(size=shape).astype(np.float32)

    def assert_near(self, got, want, tolerance=1e-5):
        self.assertEqual(got.shape, want.shape)
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=0, atol=tolerance)

    def test_the_results_are_those_of_the_contract(self):
        there = {field.name for field in dataclasses.fields(ac.AttentionResult)}
        response = _protocol.message("ComputeAttentionResponse").DESCRIPTOR
        self.assertEqual(there - {"timing", "request_id", "error"}, set(result_names(response)))
        self.assertEqual(set(result_names(response)), set(_protocol.names_of("Result")))

    def test_tokens_attend_to_each_other(self):
        tokens = self.floats(7, 12)
        got = self.client.compute_attention(tokens, num_heads=3)
        output, scores, weights = attention(tokens, tokens, tokens, 3)
        self.assert_near(got.output, output)
        self.assert_near(got.attention_scores[0], scores)
        self.assert_near(got.attention_weights[0], weights)
        self.assertIsNone(got.query)
        self.assertGreater(got.timing.compute, 0)

    def test_weights_come_with_the_call(self):
        tokens, context = self.floats(5, 8), self.floats(9, 6)
        weights = ac.ProjectionWeights(self.floats(8, 8), self.floats(6, 8), self.floats(6, 8),
                                       o_proj=self.floats(8, 3), q_bias=self.floats(8))
        got = self.client.compute_attention(tokens, context=context, weights=weights, num_heads=2,
                                            results=["output"])
        query = tokens @ weights.q_proj + weights.q_bias
        output, _, _ = attention(query, context @ weights.k_proj, context @ weights.v_proj, 2)
        self.assert_near(got.output, output @ weights.o_proj, 1e-4)
        self.assertIsNone(got.attention_weights)

    def test_a_mapping_of_weights_does_too(self):
        tokens, matrix = self.floats(2, 4), np.eye(4)
        got = self.client.compute_attention(tokens, weights={"q_proj": matrix, "k_proj": matrix,
                                                             "v_proj": matrix})
        self.assert_near(got.output, attention(tokens, tokens, tokens, 1)[0])

    def test_lists_do_too(self):
        got = self.client.compute_attention([[1, 2], [3, 4]], scale=1, rotary={})
        self.assertEqual(got.output.dtype, np.float32)
        self.assertEqual(got.output.shape, (2, 2))

    def test_results_have_the_type_of_the_tokens(self):
        tokens = self.floats(3, 4)
        for given in (tokens, tokens.astype(np.float64), tokens.astype(np.float16)):
            self.assertEqual(self.client.compute_attention(given).output.dtype, given.dtype)
        output = self.client.compute_attention(ac.to_bfloat16(tokens)).output
        self.assertEqual(output.dtype.itemsize, 2)
        self.assert_near(ac.from_bfloat16(output), attention(tokens, tokens, tokens, 1)[0], 0.03)

    def test_results_may_come_as_numbers(self):
        tokens = self.floats(3, 4)
        call = ac.tokens_call(tokens, num_heads=2, results=["output", "top_keys"], top_k=2)
        want = self.client.compute(call)
        call.message.result_format = 2  # RESULT_FORMAT_FLOAT_VALUES
        got = self.client.compute(call)
        self.assertEqual(got.output.dtype, np.float32)
        np.testing.assert_array_equal(got.output, want.output)
        self.assertEqual(got.top_keys.indices.dtype, np.int32)
        np.testing.assert_array_equal(got.top_keys.indices, want.top_keys.indices)
        np.testing.assert_array_equal(got.top_keys.attention_weights,
                                      want.top_keys.attention_weights)

    def test_results_are_not_copied(self):
        output = self.client.compute_attention(self.floats(3, 4)).output
        self.assertFalse(output.flags.owndata)
        self.assertFalse(output.flags.writeable)

    def test_a_mask_hides_and_adds(self):
        tokens = self.floats(4, 4)
        hidden = self.client.compute_attention(tokens, mask=np.tri(4, dtype=bool))
        causal = self.client.compute_attention(tokens, causal=True)
        self.assertEqual(hidden.output.tobytes(), causal.output.tobytes())
        added = self.client.compute_attention(
            tokens, mask=np.where(np.tri(4) == 1, 0, -np.inf).astype(np.float32))
        self.assert_near(added.output, causal.output)

    def test_partial_results_are_merged(self):
        query, key, value = self.floats(3, 4), self.floats(10, 4), self.floats(10, 4)
        parts = [self.client.compute(ac.projected_call(
            query, key[part], value[part], results=["output", "log_sum_exp"]))
            for part in (slice(0, 4), slice(4, 10))]
        merged = self.client.compute(ac.partials_call([(p.output, p.log_sum_exp) for p in parts]))
        self.assert_near(merged.output, attention(query, key, value, 1)[0])

    def test_given_weights_combine_values(self):
        weights, value = self.floats(3, 5), self.floats(5, 2)
        got = self.client.compute(ac.weighted_call(weights, value))
        self.assert_near(got.output, weights.astype(np.float64) @ value)

    def test_top_keys(self):
        got = self.client.compute_attention(self.floats(6, 4), results=["top_keys"], top_k=2)
        self.assertEqual(got.top_keys.indices.shape, (1, 1, 6, 2))
        self.assertEqual(got.top_keys.indices.dtype, np.int32)

    def test_lists_of_positions_turn_queries_and_keys(self):
        tokens = self.floats(3, 4)
        usual = self.client.compute_attention(tokens, rotary={})
        told = self.client.compute_attention(
            tokens, rotary={"query_positions": [0, 1, 2], "key_positions": np.arange(3)})
        self.assertEqual(told.output.tobytes(), usual.output.tobytes())

    # Such a mask was once added to the scores, and hid nothing.
    def test_a_mask_of_integers_is_refused(self):
        for mask in (np.tri(2, dtype=int), [[1, 0], [1, 1]], np.ones((2, 2), np.uint8)):
            with self.assertRaisesRegex(TypeError, "a mask of integers; want bool"):
                self.client.compute_attention(self.floats(2, 4), mask=mask)

    # Token ids were once taken for embeddings, without a word.
    def test_token_ids_are_told_where_they_belong(self):
        ids = np.array([[101, 2023, 102], [101, 7592, 102]])
        for given in (ids, ids.astype(np.int32), ids[0], list(ids), [np.int64(1), np.int64(2)]):
            with self.assertRaisesRegex(TypeError, "^tokens: integers of type int(64|32), as token ids "
                                                   "are; .* encode"):
                self.client.compute_attention(given)
        floats = self.floats(2, 3)
        with self.assertRaisesRegex(TypeError, "^context: integers of type int64"):
            self.client.compute_attention(floats, context=ids)
        with self.assertRaisesRegex(TypeError, "^embeddings: integers of type int64"):
            self.client.encode("none", embeddings=ids)
        with self.assertRaisesRegex(TypeError, "^tokens: rows of different lengths; .* encode"):
            self.client.compute_attention([[101, 2023, 102], [101, 102]])
        with self.assertRaisesRegex(ac.InvalidArgument, "if these are token ids, Encode takes them"):
            self.client.compute_attention([101, 2023, 102])

    def test_whole_numbers_are_embeddings_too(self):
        tokens = [[1, 0, 1, 0], [0, 2, 0, 2], [1, 1, 1, 1]]
        want = attention(*[np.array(tokens, np.float32)] * 3, 1)[0]
        for given in (tokens, [tokens], np.array(tokens, np.float32)):
            self.assert_near(self.client.compute_attention(given).output.reshape(3, 4), want)
        with self.assertRaises(ValueError):
            self.client.compute_attention([[1.5, 2], [3]])

    def test_one_result_is_a_name_and_one_query_an_index(self):
        tokens = self.floats(3, 4)
        got = self.client.compute_attention(tokens, results="output", query_indices=np.array([2]))
        whole = self.client.compute_attention(tokens)
        self.assertEqual(got.output.tobytes(), whole.output[2:].tobytes())

    def test_what_is_wrong_is_told_by_field(self):
        with self.assertRaises(ac.InvalidArgument) as raised:
            self.client.compute_attention(self.floats(2, 4), num_heads=3)
        self.assertEqual([v.field for v in raised.exception.violations], ["tokens.tokens.shape"])
        self.assertIn("multiple of num_heads = 3", str(raised.exception))

    def test_what_cannot_be_sent_is_told_before(self):
        tokens = self.floats(2, 4)
        with self.assertRaisesRegex(TypeError, "no setting 'num_head'; there are num_heads"):
            self.client.compute_attention(tokens, num_head=2)
        with self.assertRaisesRegex(ValueError, "Result has no 'out'; there are query, "):
            self.client.compute_attention(tokens, results=["out"])
        with self.assertRaisesRegex(TypeError, "an array of complex64"):
            self.client.compute_attention(tokens.astype(np.complex64))

    def test_nobody_at_the_target(self):
        with ac.AttentionClient("localhost:1") as client:
            with self.assertRaises(ac.Unavailable):
                client.compute_attention([[1.0]])

    def test_a_timeout(self):
        with self.assertRaises(ac.DeadlineExceeded):
            self.client.compute_attention(self.floats(8192, 64), results=["output"], timeout=0.001)

    def test_bfloat16_rounds_to_nearest_even(self):
        numbers = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, -2.5, np.inf, np.nan], np.float32)
        back = ac.from_bfloat16(ac.to_bfloat16(numbers))
        np.testing.assert_array_equal(back, [1, 1, 1 + 2**-6, -2.5, np.inf, np.nan])
        self.assertEqual(ac.to_bfloat16(2.0).shape, ())
        with self.assertRaisesRegex(TypeError, "an array of float32; want uint16"):
            ac.from_bfloat16(numbers)


if __name__ == "__main__":
    unittest.main()
