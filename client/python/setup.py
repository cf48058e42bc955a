"""Before it builds anything: writes attention_client/protocol.binpb from the repository that this
folder lies in, with protoc (Debian: protobuf-compiler). A source distribution has the file."""

import pathlib
import subprocess

from setuptools import setup

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
TARGET = HERE / "attention_client" / "protocol.binpb"

if (PROTO / "attention" / "v1" / "attention_service.proto").exists():
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    subprocess.run(["protoc", f"--proto_path={PROTO}", "--include_imports",
                    f"--descriptor_set_out={TARGET}", *files], check=True)
elif not TARGET.exists():
    raise SystemExit(f"{TARGET} is missing, and so is {PROTO}, which it is made of")

setup()
