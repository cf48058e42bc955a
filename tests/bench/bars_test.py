"""bars.py reads what Google Benchmark writes: runs, medians, or both."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import bars

MASK = "attention_with/mask/f32/b1/n512/h8/g8/d64/t1"  # want vs_plain of at most 1.15
DECODE = "decode/f32/b1/n4096/h32/g8/d128/t2"  # want bandwidth_fraction of at least 0.7


def run(name, **counters):
    return {"name": name, "run_name": name, "run_type": "iteration", **counters}


def aggregate(kind, name, **counters):
    return {"name": f"{name}_{kind}", "run_name": name, "run_type": "aggregate",
            "aggregate_name": kind, **counters}


class Bars(unittest.TestCase):
    def judge(self, content):
        """(exit code, what is printed, what is printed as an error)."""
        out, err = io.StringIO(), io.StringIO()
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "bench.json"
            file.write_text(json.dumps(content))
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = bars.main([str(file)])
        return code, out.getvalue(), err.getvalue()

    def judge_rows(self, *rows):
        return self.judge({"context": {}, "benchmarks": list(rows)})

    def line_of(self, what, out):
        return next(line for line in out.splitlines() if line.startswith(what))

    def test_a_case_is_the_median_of_its_repetitions(self):
        code, out, _ = self.judge_rows(*(run(MASK, vs_plain=x) for x in (1.1, 9.0, 1.0)))
        self.assertEqual(code, 0)
        self.assertRegex(self.line_of("float mask", out), r"1\.100 +1\.100 +1 of +1 +met")

    # A file of aggregates alone once had "not measured" in every line, and exit code 0.
    def test_medians_count_where_there_are_aggregates_alone(self):
        rows = [aggregate("mean", MASK, vs_plain=3.0), aggregate("median", MASK, vs_plain=1.1),
                aggregate("stddev", MASK, vs_plain=2.0), aggregate("cv", MASK, vs_plain=0.7)]
        code, out, _ = self.judge_rows(*rows)
        self.assertEqual(code, 0)
        self.assertRegex(self.line_of("float mask", out), r"1\.100 +1\.100 +1 of +1 +met")
        rows[1] = aggregate("median", MASK, vs_plain=1.2)
        code, out, _ = self.judge_rows(*rows)
        self.assertEqual(code, 1)
        self.assertRegex(out, rf"not met: {MASK} +vs_plain 1\.200")

    def test_aggregates_beside_their_runs_do_not_count_again(self):
        code, out, _ = self.judge_rows(run(MASK, vs_plain=1.0), run(MASK, vs_plain=1.1),
                                       aggregate("median", MASK, vs_plain=1.05))
        self.assertEqual(code, 0)
        self.assertRegex(self.line_of("float mask", out), r"1\.050 +1\.050 +1 of +1 +met")

    def test_medians_tell_cores_that_were_not_lent(self):
        code, out, _ = self.judge_rows(
            aggregate("median", DECODE, bandwidth_fraction=0.8, cpus=1.0))
        self.assertEqual(code, 0)
        self.assertRegex(out, rf"cores lent: {DECODE} +1\.00")

    def test_a_file_without_a_case_that_has_a_bar_is_an_error(self):
        for rows in ([], [aggregate("mean", MASK, vs_plain=1.0)], [run("other/t1", vs_plain=1.0)],
                     [run(MASK, gflops=1.0)]):
            code, out, err = self.judge_rows(*rows)
            self.assertEqual((code, out), (2, ""), rows)
            self.assertIn("has no run and no median of a case that has a bar", err)

    def test_a_wrong_result_is_not_met(self):
        code, out, _ = self.judge_rows(run(MASK, error_occurred=True, error_message="differs"))
        self.assertEqual(code, 1)
        self.assertIn(f"wrong: {MASK}: differs", out)

    def test_another_file_is_an_error(self):
        for content in ([], {"context": {}}, "text", {"benchmarks": 1}, {"benchmarks": [1]}):
            code, _, err = self.judge(content)
            self.assertEqual(code, 2, content)
            self.assertTrue(err)


if __name__ == "__main__":
    unittest.main()
