"""Leases and uploads over the wire: who gets what, and which status everything else gets."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import pytest
from agent_kit import AgentClient

from deltann_proto.v1 import agent_pb2 as pb

Code = grpc.StatusCode
WAIT_S = 10.0


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that only the file system tells."""

    async def look() -> None:
        while not true():  # noqa: ASYNC110 - the file system has no event
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), WAIT_S)


def incoming(store: Path) -> list[Path]:
    return list(store.glob(".incoming-*"))


async def test_a_blob_is_sent_once(agent, client):
    await client.lease()
    data = os.urandom(3 * 2**20 + 17)
    digest = hashlib.sha256(data).hexdigest()
    assert await client.missing(digest) == [digest]
    assert await client.upload(data) == digest
    assert (agent.store / digest).read_bytes() == data
    assert await client.missing(digest) == []
    assert incoming(agent.store) == []


async def test_a_blob_that_is_there_is_not_received_again(shared):
    await shared.lease()
    digest = await shared.upload(b"once")
    call = shared.stub.UploadBlob()
    header = pb.BlobHeader(lease_id=shared.lease_id, digest=digest, size_bytes=4)
    await call.write(pb.UploadBlobRequest(header=header))
    await call.done_writing()
    assert (await call).received_bytes == 0


async def test_an_empty_blob_is_a_blob(agent, client):
    await client.lease()
    digest = await client.upload(b"")
    assert (agent.store / digest).read_bytes() == b""


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"digest": "0" * 64}, Code.DATA_LOSS, "have sha256"),
        ({"size": 9}, Code.OUT_OF_RANGE, "more bytes than the 9 declared"),
        ({"size": 11}, Code.DATA_LOSS, "10 bytes came of the 11 declared"),
        ({"digest": "../../etc/passwd"}, Code.INVALID_ARGUMENT, "64 lower-case hex digits"),
        ({"digest": "A" * 64}, Code.INVALID_ARGUMENT, "64 lower-case hex digits"),
        ({"digest": ""}, Code.INVALID_ARGUMENT, "64 lower-case hex digits"),
        ({"size": 2**40}, Code.RESOURCE_EXHAUSTED, "the quota is"),
    ],
)
async def test_a_bad_upload_leaves_nothing(agent, client, change, code, words):
    await client.lease()
    with pytest.raises(grpc.aio.AioRpcError, match=words) as caught:
        await client.upload(b"ten bytes!", **change)
    assert caught.value.code() is code
    assert {path.name for path in agent.store.iterdir()} == {".lock"}


async def test_an_upload_without_header_is_refused(shared):
    await shared.lease()
    call = shared.stub.UploadBlob()
    await call.write(pb.UploadBlobRequest(chunk=b"?"))
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError, match="begins with a header") as caught:
        await call
    assert caught.value.code() is Code.INVALID_ARGUMENT


async def test_a_client_that_goes_away_leaves_nothing(agent, client):
    await client.lease()
    data = os.urandom(2**20)
    digest = hashlib.sha256(data).hexdigest()
    call = client.stub.UploadBlob()
    header = pb.BlobHeader(lease_id=client.lease_id, digest=digest, size_bytes=len(data))
    await call.write(pb.UploadBlobRequest(header=header))
    await call.write(pb.UploadBlobRequest(chunk=data[: len(data) // 2]))
    await until(lambda: bool(incoming(agent.store)))
    call.cancel()
    await until(lambda: not incoming(agent.store))
    assert await client.missing(digest) == [digest]


async def test_quota_takes_the_least_recently_used_but_never_what_the_lease_uses(make_agent):
    agent = make_agent("--quota", "3000")
    async with grpc.aio.insecure_channel(f"unix:{agent.socket}") as channel:
        client = AgentClient(channel)
        await client.lease()
        first, second = [await client.upload(os.urandom(1000)) for _ in range(2)]
        await client.stub.ReleaseLease(pb.LeaseRef(lease_id=client.lease_id))
        await client.lease()
        assert await client.missing(first) == []  # used again, so the second is now the oldest
        third = await client.upload(os.urandom(2000))
        assert await client.missing(first, second, third) == [second]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.upload(os.urandom(1))
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        assert await client.missing(first, third) == []


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a full disk needs a mount, which is not allowed here: {error}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_is_said_before_and_during_an_upload(tiny_disk, make_agent):
    agent = make_agent(folder=tiny_disk)
    async with grpc.aio.insecure_channel(f"unix:{agent.socket}") as channel:
        client = AgentClient(channel)
        await client.lease()
        with pytest.raises(grpc.aio.AioRpcError, match="free on the disk") as caught:
            await client.upload(bytes(4 * 2**20))
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        call = client.stub.UploadBlob()
        header = pb.BlobHeader(lease_id=client.lease_id, digest="1" * 64, size_bytes=2**20)
        await call.write(pb.UploadBlobRequest(header=header))
        await until(lambda: bool(incoming(agent.store)))
        filler = tiny_disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(3 * 2**20))
        await call.write(pb.UploadBlobRequest(chunk=bytes(2**20)))
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError, match="disk of the store is full") as caught:
            await call
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
        assert incoming(agent.store) == []
        filler.unlink()
        assert await client.missing(await client.upload(b"small")) == []


async def test_a_second_holder_learns_who_has_the_board(shared):
    await shared.lease("ann@bench")
    with pytest.raises(grpc.aio.AioRpcError, match=r"held by ann@bench since \d+ s") as caught:
        await shared.lease("bob")
    assert caught.value.code() is Code.FAILED_PRECONDITION
    description = await shared.stub.Describe(pb.DescribeRequest())
    assert description.lease_holder == "ann@bench"


async def test_a_lease_given_back_frees_the_board_and_is_unknown(shared):
    old = pb.LeaseRef(lease_id=await shared.lease())
    await shared.stub.ReleaseLease(old)
    await shared.lease("the next")
    for call in (shared.stub.RenewLease, shared.stub.ReleaseLease, shared.stub.CancelTrial):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(old)
        assert caught.value.code() is Code.NOT_FOUND


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("nan"), 1e9])
async def test_a_lease_without_sensible_time_is_refused(shared, ttl_s):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shared.lease(ttl_s=ttl_s)
    assert caught.value.code() is Code.INVALID_ARGUMENT


async def test_nothing_works_without_a_lease(shared):
    shared.lease_id = "made up"
    for call in (shared.missing("0" * 64), shared.upload(b"x")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is Code.NOT_FOUND
