"""Servers, layers and load. For the trials in this folder, and for others that measure a server."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from server_process import ROOT, Server  # noqa: E402, F401


def create_layer(build, server, layer, *flags):
    """Stores a layer of random weights; `layer` is a CreateLayerRequest as a dict."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(layer, file)
        file.flush()
        subprocess.run([build / "attention_client", "layers", "create", file.name,
                        f"--target={server.target}", *flags],
                       check=True, stdout=subprocess.DEVNULL)


ENCODER = {"name": "encoder", "encoder": {"d_model": 384, "num_heads": 12, "num_layers": 6,
                                          "vocabulary": 1000}}
ATTENTION_768 = {"name": "attention", "attention": {"d_model": 768, "num_heads": 12}}


class Load:
    """attention_loadtest on `server`, which goes on beside us; options as its flags."""

    def __init__(self, build, server, *flags, **options):
        options.setdefault("server_pid", server.pid)
        command = [build / "attention_loadtest", f"--target={server.target}", "--json", *flags]
        command += [f"--{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def result(self):
        """What it measured, when it is through."""
        text, _ = self.process.communicate()
        if not text:
            raise RuntimeError(f"attention_loadtest ended with {self.process.returncode}")
        return json.loads(text)

    def kill(self):
        self.process.kill()
        self.process.communicate()


def load(build, server, *flags, **options):
    return Load(build, server, *flags, **options).result()


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Row:
    """What was measured, of which bar. Where `must`, the trial fails unless the bar is met: what
    any machine can hold, such as that no call fails; else the machine may be too busy."""

    def __init__(self, what, bar, measured, met, must=False):
        self.what, self.bar, self.measured, self.met, self.must = what, bar, measured, met, must


class Skipped(Exception):
    """The machine cannot run this trial; says why."""
