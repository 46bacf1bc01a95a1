"""An S3-compatible server on loopback, a process of its own: moto's."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE_S = 60
LOOPBACK = "127.0.0.1"
BUCKET = "lab"


class S3Server:
    """A server with one bucket.

    Parameters
    ----------
    open_actions
        After so many requests, nobody has rights any more; None: everybody has them all.
    """

    def __init__(self, folder: Path, open_actions: int | None = None) -> None:
        with socket.create_server((LOOPBACK, 0)) as probe:
            self.port = probe.getsockname()[1]
        rights = {} if open_actions is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(open_actions)}
        self._log = folder / "s3.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "--host", LOOPBACK, "--port", str(self.port)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **rights},
                start_new_session=True,
            )
        self._wait()

    @property
    def variables(self) -> dict[str, str]:
        """What a client's environment needs."""
        return {
            "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{self.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self) -> None:
        """Make the bucket."""
        from pyarrow.fs import S3FileSystem

        S3FileSystem(
            access_key="key",
            secret_key="secret",
            region="us-east-1",
            endpoint_override=f"{LOOPBACK}:{self.port}",
            scheme="http",
            allow_bucket_creation=True,
        ).create_dir(BUCKET)

    def stop(self) -> None:
        """End the server."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                pytest.fail(f"the server did not start: {self._log.read_text()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1.0):
            return True
        return False
