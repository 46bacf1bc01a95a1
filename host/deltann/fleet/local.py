"""The board `local`: this machine, with an agent that is started on demand and ended after use."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deltann.core.errors import BoardError
from deltann.core.full_disk import full_disk_in, unwritable
from deltann.fleet.channel import open_channel
from deltann.fleet.client import BoardClient
from deltann.paths import cache_folder
from deltann_proto.v1 import agent_pb2 as pb

LOCAL_BOARD = "local"
START_DEADLINE_S = 30.0
END_DEADLINE_S = 10.0
_LOCK_FILE = ".lock"  # of the agent's store: process id, then address, a line each
# A socket's path has room for 107 bytes, of which `_start_agent` needs 28 for names of its own.
_TEMP_FOLDER_BYTES = 79


class LocalBoard:
    """The board that is this machine. Use as an async context manager; its agent ends with it.

    Parameters
    ----------
    store
        Where the agent keeps blobs; by default in the user's cache, so that nothing is copied twice.
    share
        Whether to ask the agent of a run that has this machine now, rather than to be refused. Such an
        agent describes itself to everybody, and does nothing else without its lease.
    """

    name = LOCAL_BOARD

    def __init__(self, store: Path | None = None, *, share: bool = False) -> None:
        self._store = store
        self._share = share
        self._agent: _Agent | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._agent is not None:
            await self._agent.end()

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[BoardClient]:
        """Connect to the agent; start it when there is none, or when the last one has died.

        Raises
        ------
        BoardError
            If it does not start, or another run has this machine.
        ResultsError
            If there is no place for its socket or its store, e.g. because the disk is full.
        """
        async with BoardClient(self.name, await self._address()) as client:
            yield client

    async def _address(self) -> str:
        if self._agent is not None:
            if self._agent.alive:
                return self._agent.address
            await self._agent.end()
        store = self._store or cache_folder("store")
        try:
            self._agent = await _start_agent(store)
        except BoardError as error:
            address = _address_in_lock(store)
            other = await _describe(address) if address else None
            if address is None or other is None:
                raise
            if not self._share:
                raise _in_use(other) from error
            return address
        return self._agent.address


class _Agent:
    """An agent process of ours, its socket and its log."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, store: Path) -> None:
        self._process = process
        self._folder = folder
        self._store = store
        self.address = f"unix:{_socket_in(folder)}"

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait_until_serving(self) -> None:
        async with open_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest()
            check = asyncio.ensure_future(
                health.Check(request, wait_for_ready=True, timeout=START_DEADLINE_S)
            )
            ended = asyncio.ensure_future(self._process.wait())
            try:
                await asyncio.wait({check, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not check.done():
                    reason = self._last_words()
                elif error := check.exception():
                    reason = str(error.details() if isinstance(error, grpc.aio.AioRpcError) else error)
                else:
                    return
            finally:
                check.cancel()
                ended.cancel()
        if words := full_disk_in(reason):
            raise unwritable("the store of this machine's agent", self._store, words)
        raise BoardError(
            f"the agent of this machine did not start: {reason}",
            where=f"board {LOCAL_BOARD}",
            hint="If another run is using this machine, wait for it; else see `deltann doctor`",
        )

    async def end(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), END_DEADLINE_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _last_words(self) -> str:
        lines = _log_in(self._folder).read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1].removeprefix("deltann-agent: ").rstrip(".")
        return f"exit status {self._process.returncode}"


async def _start_agent(store: Path) -> _Agent:
    folder, log = _new_folder()
    with log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deltann_agent", "serve", "--end-with-parent"),
            *("--socket", str(_socket_in(folder)), "--store", str(store)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for the host, which then ends the agent in order.
            start_new_session=True,
        )
    agent = _Agent(process, folder, store)
    try:
        await agent.wait_until_serving()
    except BaseException:
        await agent.end()
        raise
    return agent


def _new_folder() -> tuple[Path, IO[bytes]]:
    """Return a new folder for an agent's socket, and its log, open for writing."""
    folder = None
    try:
        place = tempfile.gettempdir()
        if len(os.fsencode(place)) > _TEMP_FOLDER_BYTES:
            place = "/tmp"  # noqa: S108  mkdtemp makes the folder for its owner alone
        folder = Path(tempfile.mkdtemp(prefix="deltann-", dir=place))
        return folder, _log_in(folder).open("wb")
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise unwritable("the folder of this machine's agent", None, error) from error


def _socket_in(folder: Path) -> Path:
    return folder / "agent.sock"


def _log_in(folder: Path) -> Path:
    return folder / "agent.log"


def _address_in_lock(store: Path) -> str | None:
    """Return the address that the store's user left there; None when its socket is gone."""
    try:
        _, address = (store / _LOCK_FILE).read_text(errors="replace").splitlines()
    except (OSError, ValueError):
        return None
    return address if Path(address.removeprefix("unix:")).is_socket() else None


async def _describe(address: str) -> pb.Description | None:
    """Return what the agent there says of itself; None when there is nobody."""
    with contextlib.suppress(BoardError):
        async with BoardClient(LOCAL_BOARD, address) as client:
            return await client.describe()
    return None


def _in_use(other: pb.Description) -> BoardError:
    holder = (
        other.lease_holder
        if other.HasField("lease_holder")
        else f"another deltann (its agent is process {other.agent_pid})"
    )
    return BoardError(
        f"this machine is in use by {holder}",
        where=f"board {LOCAL_BOARD}",
        hint="Wait until it is done, or end it",
    )
