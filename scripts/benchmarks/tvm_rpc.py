"""TVM's own RPC: a server process on the loopback, and the loop over images that DeltaNN has."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.material import Subject

HOST = "127.0.0.1"
CONNECTION_ATTEMPTS = 50
BETWEEN_ATTEMPTS_S = 0.1
_ARTIFACT = "artifact.so"
_BOUND_TO = re.compile(rb"bind to [\d.]+:(\d+)")
Images = NDArray[np.float32]


@contextmanager
def session(threads: int) -> Iterator[Any]:
    """Start a server, connect to it and give the session; the server and its children end with it."""
    with tempfile.TemporaryDirectory() as folder:  # a server that is killed leaves its files behind
        variables = {"TVM_NUM_THREADS": str(threads), "TVM_BIND_THREADS": "0", "TMPDIR": folder}
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "tvm.exec.rpc_server", "--host", HOST],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield _connect(_port_of(server))
        finally:
            for child in psutil.Process(server.pid).children(recursive=True):
                child.kill()
            server.kill()
            server.communicate()


class RemoteModel:
    """A model behind a session, used as DeltaNN does: set the input, run, fetch, one image a call."""

    def __init__(self, remote: Any, subject: Subject) -> None:
        from tvm import relax, runtime

        remote.upload(str(subject.artifact.path), target=_ARTIFACT)
        device = remote.cpu()
        self._machine = relax.VirtualMachine(remote.load_module(_ARTIFACT), device)
        shape = subject.artifact.input.shape
        self._input = runtime.empty(shape, subject.artifact.input.dtype, device)

    def run(self, images: Images) -> Images:
        """Return the scores of the images, float32, (images, classes)."""
        machine, rows = self._machine, []
        for image in images:
            self._input.copyfrom(image)
            machine.set_input("main", self._input)
            machine.invoke_stateful("main")
            rows.append(machine.get_outputs("main").numpy().reshape(-1))
        return np.stack(rows)


def _connect(port: int) -> Any:
    from tvm import rpc
    from tvm.error import InternalError

    # The server names its port just before it listens there, and says no more.
    for _ in range(CONNECTION_ATTEMPTS):
        try:
            return rpc.connect(HOST, port)
        except InternalError:  # noqa: PERF203 seconds are waited for here
            sleep(BETWEEN_ATTEMPTS_S)
    return rpc.connect(HOST, port)


def _port_of(server: "subprocess.Popen[bytes]") -> int:
    if server.stdout is None:
        raise RuntimeError("a server without output")
    said = b""
    for line in server.stdout:
        said += line
        if found := _BOUND_TO.search(line):
            return int(found[1])
    raise RuntimeError(f"TVM's RPC server did not start: {said.decode(errors='replace')}")
