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
def make_read_only(agent):
    """Make the agent's store read-only, as a disk with errors becomes; call the result to mend it."""
    mounted = []

    def mend() -> None:
        while mounted:
            subprocess.run(["umount", "--lazy", mounted.pop()], check=True)

    def make() -> Callable[[], None]:
        store = str(agent.store)
        try:
            subprocess.run(["mount", "--bind", store, store], check=True, capture_output=True)
            mounted.append(store)
            subprocess.run(["mount", "-o", "remount,ro,bind", store], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a read-only disk needs a mount, which is not allowed here: {error}")
        return mend

    yield make
    mend()


async def test_a_disk_that_turns_read_only_is_said_as_one_that_takes_nothing(agent, client, make_read_only):
    await client.lease()
    kept = await client.upload(b"before")
    call = client.stub.UploadBlob()
    header = pb.BlobHeader(
        lease_id=client.lease_id, digest=hashlib.sha256(b"during").hexdigest(), size_bytes=6
    )
    await call.write(pb.UploadBlobRequest(header=header))
    await until(lambda: bool(incoming(agent.store)))
    mend = make_read_only()
    await call.write(pb.UploadBlobRequest(chunk=b"during"))
    await call.done_writing()
    for attempt in (call, client.upload(b"after"), client.missing(kept)):
        with pytest.raises(grpc.aio.AioRpcError, match="cannot be written: Read-only file system") as caught:
            await attempt
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED
    mend()
    assert await client.missing(kept, await client.upload(b"after")) == []


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


async def test_a_second_holder_learns_who_has_the_board(client):
    await client.lease("ann@bench")
    with pytest.raises(grpc.aio.AioRpcError, match=r"held by ann@bench since \d+ s") as caught:
        await client.lease("bob")
    assert caught.value.code() is Code.FAILED_PRECONDITION
    description = await client.stub.Describe(pb.DescribeRequest())
    assert description.lease_holder == "ann@bench"


async def test_who_asked_first_is_next_even_if_another_asks_the_moment_the_board_is_free(agent):
    address = f"unix:{agent.socket}"
    async with grpc.aio.insecure_channel(address) as one, grpc.aio.insecure_channel(address) as two:
        ann, bob, cid = AgentClient(one), AgentClient(one), AgentClient(two)

        async def refused(client: AgentClient, holder: str) -> str:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.lease(holder)
            assert caught.value.code() is Code.FAILED_PRECONDITION
            return caught.value.details()

        await ann.lease("ann")
        assert (await refused(bob, "bob")).endswith("you are first in line")
        assert (await refused(cid, "cid")).endswith("you are second in line")
        await ann.stub.ReleaseLease(pb.LeaseRef(lease_id=ann.lease_id))
        said = await refused(cid, "cid")
        assert said == "the board is free, but bob has waited longer; you are second in line"
        await bob.lease("bob")
        assert "held by bob" in await refused(ann, "ann")
        await bob.stub.ReleaseLease(pb.LeaseRef(lease_id=bob.lease_id))
        await cid.lease("cid")


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
