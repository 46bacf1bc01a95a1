"""A real agent process, its client, and a tiny model: what the tests of the agent are made of."""

import hashlib
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from deltann_proto.v1 import agent_pb2 as pb
from deltann_proto.v1 import agent_pb2_grpc as pb_grpc

CHUNK_BYTES = 2**20
START_S = 20.0
SHAPE = (1, 3, 8, 8)


@dataclass
class AgentProcess:
    """`deltann-agent serve` as a process of its own, on a Unix socket, with its own store."""

    folder: Path
    extra: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "agent.sock"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def command(self, *extra: str) -> list[str]:
        places = ["--socket", str(self.socket), "--store", str(self.store)]
        return [sys.executable, "-m", "deltann_agent", "serve", *places, *self.extra, *extra]

    def start(self) -> None:
        """Start it, and wait until it says that it serves."""
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if " serves on " in line:
                return
        raise RuntimeError(f"the agent ended with status {self.process.wait()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        with self.process.stderr:
            self.process.stderr.read()
        return self.process.wait(START_S)


class AgentClient:
    """The calls of the wire, short: one lease, uploads, trials."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = pb_grpc.AgentStub(channel)
        self.lease_id = ""

    async def lease(self, holder: str = "tester", ttl_s: float = 60) -> str:
        lease = await self.stub.AcquireLease(pb.AcquireLeaseRequest(holder=holder, ttl_s=ttl_s))
        self.lease_id = lease.lease_id
        return lease.lease_id

    async def missing(self, *digests: str) -> list[str]:
        request = pb.FindMissingRequest(lease_id=self.lease_id, digests=digests)
        return list((await self.stub.FindMissing(request)).digests)

    async def upload(self, data: bytes, digest: str | None = None, size: int | None = None) -> str:
        digest = hashlib.sha256(data).hexdigest() if digest is None else digest
        size = len(data) if size is None else size

        async def parts() -> AsyncIterator[pb.UploadBlobRequest]:
            header = pb.BlobHeader(lease_id=self.lease_id, digest=digest, size_bytes=size)
            yield pb.UploadBlobRequest(header=header)
            for begin in range(0, len(data), CHUNK_BYTES):
                yield pb.UploadBlobRequest(chunk=data[begin : begin + CHUNK_BYTES])

        await self.stub.UploadBlob(parts())
        return digest

    async def trial(
        self, artifact: bytes, inputs: bytes, count: int, runtime: str = "onnxruntime", **changes
    ) -> pb.RunTrialRequest:
        """Return a request for float32 `SHAPE` -> (1, 3), both blobs uploaded."""
        lookup = struct.pack("<768f", *[value - 100 for _ in range(3) for value in range(256)])
        request = pb.RunTrialRequest(
            lease_id=self.lease_id,
            trial_id="t",
            runtime=runtime,
            artifact_digest=await self.upload(artifact),
            input=pb.Tensor(name="x", shape=SHAPE, dtype="float32"),
            output=pb.Tensor(name="y", shape=(1, 3), dtype="float32"),
            inputs=pb.InputSet(digest=await self.upload(inputs), count=count, lookup=lookup, channel_axis=1),
            warmup_runs=2,
            rounds=1,
            threads=1,
            binding=pb.BINDING_NONE,
            deadline_s=60,
        )
        for name, value in changes.items():
            field = getattr(request, name)
            field.CopyFrom(value) if hasattr(field, "CopyFrom") else setattr(request, name, value)
        return request

    async def run(self, request: pb.RunTrialRequest) -> list[pb.TrialEvent]:
        return [event async for event in self.stub.RunTrial(request)]


def onnx_model(shape: tuple[int, ...] = SHAPE) -> bytes:
    """Relu, then the sum over height and width, as an ONNX file."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("ReduceSum", ["positive", "axes"], ["y"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape[:2])],
        [numpy_helper.from_array(np.array([2, 3], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()
