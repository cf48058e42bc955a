#!/usr/bin/python3
"""The pages that the client and the load tester write, in a browser: clicked through, and what they
show compared with the numbers of the call.

    tests/end_to_end/pages_test.py [BUILD_DIR]     default: build/release

Screenshots are left in BUILD_DIR/pages/. Skipped where chromium or chromium-driver is missing.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "end_to_end" / "trials"))

import browser  # noqa: E402
from server import Server  # noqa: E402

BUILD = ROOT / "build" / "release"
SAMPLES = ROOT / "client" / "samples"


def numbers_of(tensor):
    values = tensor["float_values"]  # in the fewest digits that tell the float32 number
    return struct.unpack(f"<{len(values)}f", struct.pack(f"<{len(values)}f", *values))


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not browser.is_installed():
            raise unittest.SkipTest("chromium or chromium-driver is not installed")
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.server = cls.enterClassContext(Server(BUILD, "--log_level=error"))
        cls.browser = cls.enterClassContext(browser.Browser())
        cls.shots = BUILD / "pages"
        cls.shots.mkdir(exist_ok=True)
        cls.client("layers", "create", SAMPLES / "layers" / "tutorial.json")

    @classmethod
    def client(cls, *arguments):
        return subprocess.run([BUILD / "attention_client", *arguments,
                               f"--target={cls.server.target}"], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def open_explanation(self, sample):
        page = self.folder / f"{sample}.html"
        self.client("explain", SAMPLES / f"{sample}.json", f"--html={page}")
        text = page.read_text().replace("http://www.w3.org/2000/svg", "")
        self.assertNotIn("http", text, "the page needs no network")
        self.browser.open(page)

    def shoot(self, name):
        self.browser.screenshot(self.shots / f"{name}.png")

    def cell_text(self, row, column):
        return self.browser.text(f'[data-cell="{row},{column}"]')

    def test_a_heat_map_shows_the_weights_of_the_call(self):
        answer = json.loads(self.client("attend", SAMPLES / "003_query_key_value.json", "--json"))
        weights = numbers_of(answer["attention_weights"])
        scores = numbers_of(answer["attention_scores"])
        output = numbers_of(answer["output"])
        self.open_explanation("003_query_key_value")
        self.shoot("explain")
        for i in range(3):
            for j in range(3):
                self.assertEqual(self.cell_text(i, j), f"{100 * weights[3 * i + j]:.0f}")
                self.browser.click(f'[data-cell="{i},{j}"]')
                self.assertEqual(self.browser.text("#weight"), f"{100 * weights[3 * i + j]:.1f} %")
                self.assertEqual(float(self.browser.text("#score")), scores[3 * i + j])
                self.assertTrue(self.browser.text("#dot").endswith(f"= {scores[3 * i + j]:g}"))
            shown = self.browser.run(
                "return [...document.querySelectorAll('#output td')].slice(4).map(e => e.innerText)")
            for got, want in zip(shown, output[3 * i:3 * i + 3], strict=True):
                self.assertAlmostEqual(float(got), want, delta=6e-5)

    def test_keys_move_over_the_cells(self):
        self.open_explanation("001_jim_likes_football")
        self.browser.press("#map", "ArrowDown")
        self.browser.press("#map", "ArrowRight")
        chosen = "return document.querySelector('td.chosen').dataset.cell"
        self.assertEqual(self.browser.run(chosen), "1,1")
        self.browser.press("#map", "ArrowUp")
        self.browser.press("#map", "ArrowUp")
        self.assertEqual(self.browser.run(chosen), "0,1")

    def test_buttons_change_what_is_shown(self):
        self.open_explanation("001_jim_likes_football")
        self.browser.click('[data-choice="view-lines"]')
        self.assertGreater(self.browser.run("return document.querySelectorAll('#map line').length"), 5)
        self.shoot("explain_lines")
        self.browser.click('[data-choice="view-map"]')
        self.browser.click('[data-choice="show-scores"]')
        self.assertEqual(self.browser.text("#mapTitle"), "Attention scores")
        before = self.browser.run("return document.documentElement.dataset.theme")
        self.browser.click("#theme")
        self.assertNotEqual(self.browser.run("return document.documentElement.dataset.theme"), before)
        self.shoot("explain_dark")

    def test_each_layer_and_head_of_an_encoder_can_be_chosen(self):
        self.open_explanation("005_the_cat_sat")
        shown = set()
        for layer in self.browser.run("return [...document.querySelectorAll('#layer option')].map(o => o.value)"):
            for head in self.browser.run("return [...document.querySelectorAll('#head option')].map(o => o.value)"):
                for name, value in (("layer", layer), ("head", head)):
                    self.browser.run("const s = document.getElementById(arguments[0]);"
                                     "s.value = arguments[1]; s.dispatchEvent(new Event('change'));",
                                     name, value)
                row = self.browser.run("return [...document.querySelectorAll('#map tbody tr')].map("
                                       "r => [...r.querySelectorAll('td')].map(c => Number(c.innerText)))")
                for line in row:
                    self.assertAlmostEqual(sum(line), 100, delta=len(line) / 2 + 1e-9)
                shown.add(str(row))
        self.assertGreater(len(shown), 3)
        self.shoot("explain_encoder")

    # Such a page was once blank: there is no head 0.
    def test_a_probe_of_some_heads_is_shown(self):
        sample = json.loads((SAMPLES / "005_the_cat_sat.json").read_text())
        sample["encode"]["probes"] = [{"layer": 1, "first_head": 1}, {"layer": 0, "num_heads": 1}]
        file = self.folder / "probes.json"
        file.write_text(json.dumps(sample))
        self.client("explain", file, f"--html={self.folder / 'probes.html'}")
        self.browser.open(self.folder / "probes.html")
        self.assertNotEqual(self.cell_text(0, 0), "")
        self.browser.run("const s = document.getElementById('layer'); s.value = 0;"
                         "s.dispatchEvent(new Event('change'));")
        self.assertNotEqual(self.cell_text(0, 0), "")

    def test_a_title_cannot_end_the_script(self):
        sample = json.loads((SAMPLES / "001_jim_likes_football.json").read_text())
        sample["title"] = "</script><!-- <script>document.title='broken'</script>"
        sample["words"][0] = "<b>bold</b>"
        file = self.folder / "evil.json"
        file.write_text(json.dumps(sample))
        self.client("explain", file, f"--html={self.folder / 'evil.html'}")
        self.browser.open(self.folder / "evil.html")
        self.assertEqual(self.browser.text("h1"), sample["title"])
        self.assertIn("<b>bold</b>", self.browser.text("#map"))

    def test_a_load_test_is_drawn(self):
        page = self.folder / "load.html"
        subprocess.run([BUILD / "attention_loadtest", f"--target={self.server.target}", "--rate=50,200",
                        "--duration_s=2", "--warm_up_s=0.2", f"--html={page}"], check=True,
                       stdout=subprocess.DEVNULL)
        self.browser.open(page)
        rows = self.browser.run("return [...document.querySelectorAll('#runs tbody tr')].map(r => r.innerText)")
        self.assertEqual(len(rows), 2)
        self.assertTrue(rows[0].startswith("50 calls/s offered"))
        self.assertEqual(self.browser.run("return document.querySelectorAll('#curve circle').length"), 6)
        self.browser.press("#runs tbody tr:last-child", "ArrowUp")
        selected = self.browser.run("return document.querySelector('[aria-selected=true]').innerText")
        self.assertTrue(selected.startswith("50 calls/s offered"))
        bars = self.browser.run("return [...document.querySelectorAll('#histogram rect title')]"
                                ".map(t => Number(t.textContent.match(/: ([0-9,]+) calls/)[1].replace(',', '')))")
        runs = self.browser.run("return runs.map(r => r.answered)")
        self.assertEqual(sum(bars), runs[0])
        self.shoot("load")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
