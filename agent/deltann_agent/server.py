"""The agent's process: its socket, its service, and an orderly end."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deltann_agent import memory
from deltann_agent.authorization import Gate
from deltann_agent.engines import find_engines
from deltann_agent.errors import StartError
from deltann_agent.network import Network, listen
from deltann_agent.service import AgentService
from deltann_agent.store import Store
from deltann_proto.v1 import agent_pb2, agent_pb2_grpc

GRACE_S = 2.0
_PARENT_POLL_S = 1.0
_ORPHANED = "the parent is gone"
_PRIVATE = 0o077
_PRIVATE_SOCKET = 0o177
_OPTIONS = [
    ("grpc.max_receive_message_length", 8 * 2**20),
    ("grpc.max_send_message_length", 8 * 2**20),
    ("grpc.so_reuseport", 0),  # a second agent on a port must fail, not share it
    # Clients may ping an idle connection as often as every 10 s, and are pinged, so that neither side
    # waits for one that has vanished.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the agent was started.

    Attributes
    ----------
    socket
        Absolute path; None: no Unix socket.
    network
        None: no network address.
    store
        Absolute path.
    quota_bytes
        Of all blobs together.
    library
        libtvm_runtime.so, None when it was not found.
    end_with_parent
        Whether to end when the process that started the agent does.
    engines
        Interpreters of other Python environments with runtimes, by the names of these.
    """

    socket: Path | None
    network: Network | None
    store: Path
    quota_bytes: int
    library: Path | None
    end_with_parent: bool
    engines: Mapping[str, Path] = field(default_factory=dict)


async def serve(settings: Settings) -> None:
    """Serve until told to end by SIGTERM or SIGINT, or until the parent is gone.

    Raises
    ------
    StartError
        If the socket, the address or the store is in use or cannot be made.
    """
    os.umask(_PRIVATE)
    memory.keep_heap_small()
    store = Store(settings.store, settings.quota_bytes, _addresses(settings)[0])
    try:
        await _serve(settings, store)
    finally:
        store.close()


async def _serve(settings: Settings, store: Store) -> None:
    service = AgentService(store, settings.library, find_engines(settings.engines))
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
    gate = Gate(settings.network.revoked if settings.network else None)
    server = grpc.aio.server(options=_OPTIONS, interceptors=[gate])
    agent_pb2_grpc.add_AgentServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if settings.network is not None:
        listen(server, settings.network)
    if settings.socket is not None:
        _bind(server, settings.socket)
    try:
        ended = _when_told(end_with_parent=settings.end_with_parent)
        await server.start()
        for name in ("", agent_pb2.DESCRIPTOR.services_by_name["Agent"].full_name):
            await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("pid %d serves on %s", os.getpid(), " and ".join(_addresses(settings)))
        reason = await ended
        _log.info("ends: %s", reason)
    finally:
        await checks.enter_graceful_shutdown()
        await service.close()
        await server.stop(GRACE_S)
        if settings.socket is not None:
            settings.socket.unlink(missing_ok=True)
    if reason == _ORPHANED and settings.socket is not None:
        _remove_private_folder(settings.socket.parent)


def _addresses(settings: Settings) -> list[str]:
    socket_address = [f"unix:{settings.socket}"] if settings.socket is not None else []
    return [*socket_address, *([settings.network.address] if settings.network is not None else [])]


def _remove_private_folder(folder: Path) -> None:
    """Remove what a host made for this agent alone and, killed outright, could not remove itself."""
    import tempfile  # here, for the sake of the idle agent's memory

    places = {Path(tempfile.gettempdir()), Path("/tmp")}  # noqa: S108  the host's choice of the two
    if folder.name.startswith("deltann-") and folder.parent in places:
        with suppress(OSError):  # not ours, or with something of somebody else's in it
            (folder / "agent.log").unlink(missing_ok=True)
            folder.rmdir()


def _bind(server: grpc.aio.Server, path: Path) -> None:
    before = os.umask(_PRIVATE_SOCKET)
    try:
        _clear(path)
        # Tried out first: gRPC says on several lines of its own why it cannot.
        with socket.socket(socket.AF_UNIX) as trial:
            trial.bind(str(path))
        path.unlink()
        server.add_insecure_port(f"unix:{path}")
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(f"the socket {path} cannot be made: {reason}. Name another --socket.") from error
    finally:
        os.umask(before)


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on; gRPC itself would also remove one that is in use."""
    if not path.exists():
        return
    if not path.is_socket():
        raise StartError(f"{path} is there and is no socket. Name another --socket.")
    with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionRefusedError):
        probe.connect(str(path))
        raise StartError(f"socket in use: somebody listens on {path}. End it or name another --socket.")
    path.unlink()


def _when_told(*, end_with_parent: bool) -> asyncio.Future[str]:
    """Return a future that is done, with the reason, when the agent is to end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()

    def end(reason: str) -> None:
        if not ended.done():
            ended.set_result(reason)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number.name)
    if end_with_parent:
        _watch_parent(loop, lambda: end(_ORPHANED))
    return ended


def _watch_parent(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    # Not PR_SET_PDEATHSIG: that fires when the parent's *thread* ends, and hosts start agents from threads.
    parent = os.getppid()
    try:
        ticket = os.pidfd_open(parent)
    except (OSError, AttributeError):  # an old kernel: no event to wait for
        _poll_parent(loop, parent, end)
        return
    if os.getppid() != parent:
        end()
    loop.add_reader(ticket, end)


def _poll_parent(loop: asyncio.AbstractEventLoop, parent: int, end: Callable[[], None]) -> None:
    if os.getppid() != parent:
        end()
    else:
        loop.call_later(_PARENT_POLL_S, _poll_parent, loop, parent, end)
