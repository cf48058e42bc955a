"""Programs that listen and say where, each a process of its own, for tests and trials."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


class DoesNotListen(RuntimeError):
    """The program ended, or said something else. Has its exit code, and what it wrote."""

    def __init__(self, code, text):
        super().__init__(f"the server does not listen: {text}")
        self.code, self.text = code, text


class Listener:
    """A program that prints "listening on TARGET", until the end of a with statement; what it writes to
    standard error is kept."""

    def __init__(self, command, **more):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        **more)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise self._failure()
        self.target, self.pid = line.split()[-1], self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def _failure(self):
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        text = self.log_text()
        self.__exit__()
        return DoesNotListen(code, text)

    def log_text(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


class Server(Listener):
    """attention_server on a free loopback port. `group` is a folder of a control group that it is put
    into before it starts."""

    def __init__(self, build, *flags, group=None):
        command = [str(build / "attention_server"), "--port=0", *flags]
        if group is not None:
            join = f'echo $$ >"{group}/cgroup.procs" && exec "$@"'
            command = ["sh", "-c", join, "sh", *command]
        super().__init__(command)

    def logged(self):
        """What it has logged, a list of JSON objects and of lines that are none."""
        lines = []
        for line in self.log_text().splitlines():
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
