"""A server as a process of its own, and load upon it. For the trials in this folder."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Server:
    """attention_server on a free loopback port, until the end of a with statement.

    `group` is a folder of a control group that it is put into before it starts.
    """

    def __init__(self, build, *flags, group=None):
        self.log = tempfile.TemporaryFile("w+")
        command = [str(build / "attention_server"), "--port=0", *flags]
        if group is not None:
            join = f'echo $$ >"{group}/cgroup.procs" && exec "$@"'
            command = ["sh", "-c", join, "sh", *command]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the server does not listen: {self.logged()}")
        self.target = line.split()[-1]
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def logged(self):
        """What it has logged, a list of JSON objects and of lines that are none."""
        self.log.flush()
        self.log.seek(0)
        lines = []
        for line in self.log.read().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append(line)
        return lines

    def runs(self):
        return self.process.poll() is None

    def resident_mib(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 2**20

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def compute_threads(self):
        return next(line["threads"] for line in self.logged()
                    if isinstance(line, dict) and line["event"] == "started")

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


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
