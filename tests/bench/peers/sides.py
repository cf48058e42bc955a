"""The sides of the comparison, each a process of its own, and whether they answer alike.

For run.py and peers_test.py, which import this before attention_client and the trials' server.py: it
says where they are.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("ATTENTION_BUILD", ROOT / "build" / "release")).resolve()
sys.path += [str(BUILD / "python"), str(ROOT / "tests"), str(ROOT / "tests" / "end_to_end" / "trials")]
from server_process import DoesNotListen, Listener  # noqa: E402

# attention_loadtest would tell each time that a peer has no grpc.health.v1.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

PEER = pathlib.Path(__file__).with_name("peer_server.py")
NOT_INSTALLED = 77  # the exit code of peer_server.py where a package is missing

# Each side may be off by 1e-5 of a result's largest number (as attention_loadtest --verify has it), so
# two may differ by twice as much.
TOLERANCE = 2e-5


class NotInstalled(Exception):
    """A package of the peer is missing; says which."""


def _environment():
    return {**os.environ, "PYTHONPATH": str(BUILD / "python"), "PYTHONDONTWRITEBYTECODE": "1"}


class Peer(Listener):
    """peer_server.py on a free loopback port."""

    def __init__(self, python, backend, *flags):
        try:
            super().__init__([python, PEER, f"--backend={backend}", "--port=0", *flags],
                             env=_environment())
        except DoesNotListen as silent:
            if silent.code == NOT_INSTALLED:
                raise NotInstalled(silent.text.strip()) from silent
            raise


def versions_of(python, backend, *flags):
    """What the peer runs on, a line of text."""
    run = subprocess.run([python, PEER, f"--backend={backend}", "--versions", *flags],
                         env=_environment(), check=True, stdout=subprocess.PIPE, text=True)
    return run.stdout.strip()


def difference(got, want):
    """The largest difference between two results, as a share of the largest number of `want`."""
    return float(abs(got - want).max() / abs(want).max())
