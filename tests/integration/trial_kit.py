"""A trial without an agent around it: a real worker, its files in a folder, its events in a list."""

import hashlib
from pathlib import Path

from agent_kit import AgentClient

from deltann_agent.machine import Platform
from deltann_agent.prepare import Here
from deltann_agent.request import TrialFiles
from deltann_agent.runtimes import find_library
from deltann_agent.trial import Trial
from deltann_agent.workers import WorkerPool
from deltann_proto.v1 import agent_pb2 as pb


class Bench(AgentClient):
    """Makes trials of requests; what an agent's client would upload lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lease_id = ""
        self.pool = WorkerPool()
        self.here = Here(Platform.of_this_process(), find_library(None))

    async def upload(self, data: bytes, digest: str | None = None, size: int | None = None) -> str:
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / digest).write_bytes(data)
        return digest

    def prepare(self, request: pb.RunTrialRequest) -> Trial:
        files = TrialFiles(self.folder / request.artifact_digest, self.folder / request.inputs.digest)
        return self.here.prepare(request, files, self.pool)
