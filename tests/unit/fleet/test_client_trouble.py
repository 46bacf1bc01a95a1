"""What a client makes of trouble on the way to an agent: a cause, or an error in words."""

from types import SimpleNamespace

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata
from grpc_health.v1 import health_pb2

from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.errors import BoardError
from deltann.core.factors import Importer, Runtime
from deltann.core.inputs import InputSet
from deltann.core.trial import RETRIED_CAUSES, Cause, TimingProtocol, Trial
from deltann.core.variant import Variant
from deltann.fleet import client as module
from deltann.fleet.channel import BoardFullError, board_error
from deltann.fleet.client import BoardClient, blob_of
from deltann_proto.v1 import agent_pb2 as pb

SPEC = TensorSpec("x", (1, 3, 2, 2), "float32")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def failure(code: grpc.StatusCode, details: str) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details)


class EndedCall:
    """A stream that ends with a failure before its first event."""

    def __init__(self, error: AioRpcError) -> None:
        self._error = error

    def __aiter__(self):
        return self

    async def __anext__(self):
        raise self._error

    def cancel(self) -> None:
        pass


@pytest.fixture
async def client():
    async with BoardClient("pi-1", "unix:none") as made:
        yield made


@pytest.fixture
def files(tmp_path):
    file = tmp_path / "net.onnx"
    file.write_bytes(b"net")
    artifact = Artifact("key", Runtime.ONNXRUNTIME, file, "0" * 64, 3, SPEC, SPEC, None, (), (), {}, 0.0)
    return artifact, InputSet(file, "1" * 64, SPEC.shape, 1, None, (), (), ())


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (grpc.StatusCode.NOT_FOUND, Cause.LEASE_LOST),
        (grpc.StatusCode.ABORTED, Cause.LEASE_LOST),
        (grpc.StatusCode.UNAVAILABLE, Cause.AGENT_LOST),
        (grpc.StatusCode.CANCELLED, Cause.AGENT_LOST),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Cause.TIMEOUT),
        (grpc.StatusCode.INVALID_ARGUMENT, Cause.BAD_INPUT),
        (grpc.StatusCode.FAILED_PRECONDITION, Cause.RUNTIME_MISSING),
    ],
)
async def test_how_a_trials_call_fails_is_its_cause(client, files, code, cause):
    client._stub = SimpleNamespace(RunTrial=lambda *_, **__: EndedCall(failure(code, "the agent's words")))
    variant = Variant(Runtime.ONNXRUNTIME, Importer.ONNX, None, threads=1)
    trial = Trial("trial", "variant", variant, "pi-1", "key", TimingProtocol())
    end = await client.run_trial("lease", trial, *files)
    assert end.cause is cause
    assert end.measurement is None
    if cause is not Cause.TIMEOUT:
        assert "the agent's words" in end.message
    lost = {Cause.LEASE_LOST, Cause.AGENT_LOST}
    assert (end.cause in RETRIED_CAUSES) == (cause in lost)


class Uploads:
    """A stub that lacks every blob, and fails each upload in turn; it keeps what it was sent."""

    def __init__(self, *failures: AioRpcError) -> None:
        self._failures = list(failures)
        self.sent: list[list[str | None]] = []

    async def FindMissing(self, request, timeout):  # noqa: N802  the wire's name
        return pb.FindMissingResponse(digests=request.digests)

    async def UploadBlob(self, parts, timeout):  # noqa: N802  the wire's name
        self.sent.append([part.WhichOneof("part") async for part in parts])
        raise self._failures.pop(0)


BROKEN = failure(grpc.StatusCode.INTERNAL, "Internal error from Core")
NO_ROOM = failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "9 bytes do not fit")
INCOMPLETE = failure(grpc.StatusCode.INVALID_ARGUMENT, "0 of 3 bytes came")


@pytest.mark.parametrize(
    ("failures", "kind", "words", "uploads"),
    [
        ([NO_ROOM], BoardFullError, "9 bytes do not fit", 1),
        # gRPC lost the refusal: it is asked for once more.
        ([BROKEN, NO_ROOM], BoardFullError, "9 bytes do not fit", 2),
        ([BROKEN, INCOMPLETE], BoardError, "Internal error from Core", 2),
        ([failure(grpc.StatusCode.UNAVAILABLE, "gone")], BoardError, "gone", 1),
    ],
)
async def test_no_room_is_told_from_other_trouble(client, files, failures, kind, words, uploads):
    client._stub = stub = Uploads(*failures)
    artifact, _ = files
    with pytest.raises(BoardError, match=words) as caught:
        await client.ship("lease", [blob_of(artifact.path, artifact.digest)])
    assert type(caught.value) is kind
    assert stub.sent == [["header", "chunk"], ["header"]][:uploads]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("9 bytes do not fit: the quota is 8 bytes, of which 8 are in use", "DELTANN_QUOTA_BYTES"),
        ("the disk of the store is full; free some space there", None),
    ],
)
def test_what_helps_is_said_of_a_quota_and_left_to_the_words_of_a_full_disk(said, hint):
    error = board_error("b", "sending x", failure(grpc.StatusCode.RESOURCE_EXHAUSTED, said))
    assert isinstance(error, BoardFullError)
    assert said in str(error)
    assert error.hint is None if hint is None else hint in error.hint


class Health:
    """In place of gRPC's own stub: gives an answer, or fails."""

    answer: health_pb2.HealthCheckResponse | AioRpcError

    def __init__(self, _channel) -> None:
        pass

    async def Check(self, _request, timeout):  # noqa: N802  the wire's name
        assert timeout > 0
        if isinstance(self.answer, AioRpcError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (health_pb2.HealthCheckResponse(status=NOT_SERVING), "its agent does not serve (NOT_SERVING)"),
        (failure(grpc.StatusCode.UNAVAILABLE, "gone"), "asking how it is failed (UNAVAILABLE): gone"),
    ],
)
async def test_an_agent_that_is_not_well_is_an_error(client, monkeypatch, answer, words):
    monkeypatch.setattr(module.health_pb2_grpc, "HealthStub", Health)
    monkeypatch.setattr(Health, "answer", answer, raising=False)
    with pytest.raises(BoardError) as caught:
        await client.check_health()
    assert caught.value.what == words
    assert caught.value.where == "board pi-1"


async def test_an_agent_that_serves_is_well(client, monkeypatch):
    monkeypatch.setattr(module.health_pb2_grpc, "HealthStub", Health)
    monkeypatch.setattr(Health, "answer", health_pb2.HealthCheckResponse(status=SERVING), raising=False)
    await client.check_health()
