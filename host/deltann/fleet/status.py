"""What an agent says of its board, as a record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deltann.core.errors import BoardError
from deltann.fleet.client import BoardClient
from deltann.fleet.local import LOCAL_BOARD, LocalBoard
from deltann_proto.v1 import agent_pb2 as pb


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """One runtime of a board; `reason` says why it is not available and what to do.

    Attributes
    ----------
    devices
        Every device it may compute on, with the reason why it cannot; None when it can.
    engine
        The Python environment of the board that has it; empty: the agent's own.
    """

    name: str
    version: str | None
    reason: str
    devices: Mapping[str, str | None] = field(default_factory=dict)
    engine: str = ""

    @property
    def title(self) -> str:
        """Its name, and its engine where that is not the agent's own."""
        return f"{self.name} of {self.engine}" if self.engine else self.name


@dataclass(frozen=True, slots=True)
class Processor:
    """What tells one processor from another; empty or None: the board cannot say.

    Attributes
    ----------
    architecture
        As uname says: x86_64, aarch64.
    flags
        Features as Linux names them, sorted.
    part
        Implementer and part of an Arm core, `0x41:0xd08`.
    board_model
        As the device tree names the board.
    """

    architecture: str
    flags: tuple[str, ...] = ()
    part: str | None = None
    board_model: str | None = None


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """A board as its agent describes it.

    Attributes
    ----------
    protocol
        Version of the wire that the agent speaks.
    facts
        Name and value of what could be read, then of what could not, with the reason.
    cores
        Cores that a trial may use: physical ones where the board can tell, else logical ones.
    lease_holder
        Who has the board now; None when it is free.
    runtimes, of_engines
        Those of the agent's own environment, and those of others.
    cuda_arch
        Of its first GPU that CUDA knows, e.g. `sm_87`.
    """

    board: str
    facts: tuple[tuple[str, str], ...]
    runtimes: tuple[RuntimeStatus, ...]
    cores: int
    emulated: bool
    lease_holder: str | None
    protocol: int
    processor: Processor
    cuda_arch: str | None = None
    of_engines: tuple[RuntimeStatus, ...] = ()

    def all_facts(self) -> tuple[tuple[str, str], ...]:
        """Return the facts, and which version of each runtime there is, as a run's record has them."""
        runtimes = (*self.runtimes, *self.of_engines)
        return (*self.facts, *((f"runtime {one.title}", one.version or "absent") for one in runtimes))

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON-able values."""
        return {**asdict(self), "facts": dict(self.facts)}


async def local_status(address: str | None = None) -> AgentStatus:
    """Return the status of the agent at `address`, or of this machine's.

    That is the one of a run that is going on, else one that is started for the question.

    Raises
    ------
    BoardError
        If `address` is no Unix socket, or the agent does not start or does not answer.
    """
    if address is not None:
        _check_address(address)
        async with BoardClient(LOCAL_BOARD, address) as client:
            return status_from_proto(LOCAL_BOARD, await client.describe())
    async with LocalBoard(share=True) as board, board.connect() as client:
        return status_from_proto(LOCAL_BOARD, await client.describe())


def _check_address(address: str) -> None:
    # gRPC would take any other text for the name of a host, and go looking for it.
    scheme, _, path = address.partition(":")
    if scheme != "unix" or not Path(path).is_socket():
        raise BoardError(
            "this is not the address of an agent that runs",
            where=address,
            hint="Name the agent's socket as unix:PATH",
        )


def status_from_proto(board: str, description: pb.Description) -> AgentStatus:
    """Return a board's own description as a record."""
    machine = description.machine
    cores = machine.physical_cores if machine.HasField("physical_cores") else machine.logical_cpus
    facts = {
        "agent": f"deltann-agent {description.agent_version}",
        "hostname": machine.hostname,
        "architecture": machine.architecture,
        "cpu": machine.cpu_model if machine.HasField("cpu_model") else "",
        "cores": _core_words(machine),
        "gpu": ", ".join(map(_gpu_words, machine.accelerators)),
        "memory": f"{machine.memory_bytes / 2**30:.1f} GiB",
        "kernel": machine.kernel,
        "os": machine.os,
        "python": machine.python,
        "emulated": machine.emulated_reason if machine.emulated else "no",
        "store": _store_words(description.store),
    }
    runtimes = tuple(map(_runtime, description.runtimes))
    return AgentStatus(
        board=board,
        facts=(
            *((name, value) for name, value in facts.items() if value),
            *((name, f"not readable: {reason}") for name, reason in sorted(machine.unavailable.items())),
        ),
        runtimes=tuple(runtime for runtime in runtimes if not runtime.engine),
        of_engines=tuple(runtime for runtime in runtimes if runtime.engine),
        cores=max(1, min(cores, machine.logical_cpus)),
        emulated=machine.emulated,
        lease_holder=description.lease_holder if description.HasField("lease_holder") else None,
        protocol=description.protocol,
        processor=Processor(
            machine.architecture,
            tuple(machine.cpu_flags),
            machine.cpu_part if machine.HasField("cpu_part") else None,
            machine.board_model if machine.HasField("board_model") else None,
        ),
        cuda_arch=next((gpu.arch for gpu in machine.accelerators if gpu.kind == "cuda"), None) or None,
    )


def _runtime(runtime: pb.Runtime) -> RuntimeStatus:
    return RuntimeStatus(
        runtime.name,
        runtime.version if runtime.available else None,
        runtime.reason,
        {device: reason or None for device, reason in sorted(runtime.devices.items())},
        runtime.engine,
    )


def _core_words(machine: pb.Machine) -> str:
    physical = f", {machine.physical_cores} physical" if machine.HasField("physical_cores") else ""
    return f"{machine.logical_cpus} logical{physical}"


def _gpu_words(gpu: pb.Accelerator) -> str:
    memory = f" with {gpu.memory_bytes / 2**30:.1f} GiB" if gpu.HasField("memory_bytes") else ""
    cuda = f", CUDA {gpu.cuda_version}" if gpu.cuda_version else ""
    return f"{gpu.name} ({gpu.arch}{cuda}, driver {gpu.driver or 'unknown'}){memory}"


def _store_words(store: pb.Store) -> str:
    return f"{store.used_bytes / 2**20:.0f} of {store.quota_bytes / 2**20:.0f} MiB, {store.blobs} blobs"
