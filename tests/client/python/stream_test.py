"""Streams and asyncio through the Python client."""

import asyncio
import unittest

from running_server import ServerTest, np

import attention_client as ac


def calls(count, taken=None):
    for i in range(count):
        if taken is not None:
            taken.append(i)
        tokens = np.full((i % 7 + 1, 4), i, np.float32)
        yield ac.tokens_call(tokens, request_id=str(i), results=["output"])


class Stream(ServerTest):
    def check(self, results, count):
        self.assertEqual(sorted(int(r.request_id) for r in results), list(range(count)))
        for result in results:
            np.testing.assert_allclose(result.output, int(result.request_id), rtol=1e-6)

    def test_each_call_is_answered(self):
        self.check(list(self.client.stream(calls(200))), 200)

    def test_a_call_that_fails_does_not_end_the_stream(self):
        bad = ac.tokens_call([[1.0, 2.0]], num_heads=3, request_id="bad")
        results = {r.request_id: r for r in self.client.stream([*calls(2), bad, *calls(1)])}
        self.assertIsInstance(results["bad"].error, ac.InvalidArgument)
        self.assertEqual(results["bad"].error.request_id, "bad")
        self.assertIsNone(results["1"].error)

    def test_who_reads_slowly_takes_no_more_calls_than_the_window(self):
        taken = []
        answers = self.client.stream(calls(10**9, taken), window=4)
        for read in range(1, 20):
            next(answers)
            self.assertLessEqual(len(taken), read + 4 + 1)  # one waits for room
        answers.close()

    def test_an_error_of_the_callers_own_is_raised_as_it_is(self):
        def broken():
            yield from calls(1)
            raise KeyError("mine")

        async def run():
            async with ac.aio.AttentionClient(self.target) as client:
                async for _ in client.stream(broken()):
                    pass

        with self.assertRaisesRegex(KeyError, "mine"):
            list(self.client.stream(broken()))
        with self.assertRaisesRegex(KeyError, "mine"):
            asyncio.run(run())
        with self.assertRaisesRegex(ValueError, "window is 0"):
            list(self.client.stream(calls(1), window=0))

    def test_closing_ends_calls_with_cancelled(self):
        async def run():
            client = ac.aio.AttentionClient(self.target)
            call = asyncio.ensure_future(client.compute_attention(
                np.zeros((16384, 64), np.float32), results="output"))
            await asyncio.sleep(0.05)
            await client.close()
            with self.assertRaises(ac.Cancelled):
                await call

        asyncio.run(run())

    def test_asyncio(self):
        async def run():
            async with ac.aio.AttentionClient(self.target) as client:
                results = [r async for r in client.stream(calls(200), window=8)]
                together = await asyncio.gather(
                    *(client.compute_attention(np.full((2, 2), i, np.float32)) for i in range(20)))
                with self.assertRaises(ac.NotFound):
                    await client.get_layer("none")
                return results, together

        results, together = asyncio.run(run())
        self.check(results, 200)
        for i, result in enumerate(together):
            self.assertTrue((result.output == i).all())


if __name__ == "__main__":
    unittest.main()
