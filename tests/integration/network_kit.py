"""A real agent on a loopback port, with certificates."""

import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deltann.fleet.pki import Authority

START_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class NetworkAgent:
    """`deltann-agent serve` on a loopback port with certificates; what it logs is kept."""

    folder: Path
    files: dict[str, Path]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "agent.log"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        options = [word for name, path in self.files.items() for word in (f"--{name}", str(path))]
        command = [sys.executable, "-m", "deltann_agent", "serve", "--store", str(self.folder / "store")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--address", self.address, *options], stdout=log, stderr=subprocess.STDOUT
            )
        self._wait()

    def _wait(self) -> None:
        for _ in range(int(START_S / 0.05)):
            if b" serves on " in self.log.read_bytes():
                return
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        raise RuntimeError("the agent did not start")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(START_S)


def board_files(authority: Authority, name: str = "kitchen") -> dict[str, Path]:
    issued = authority.find(name)
    return {
        "ca": authority.ca_certificate,
        "certificate": issued.certificate,
        "key": issued.key,
        "revoked": authority.revocations,
    }
