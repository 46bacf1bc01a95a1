"""Boards: a machine with an agent, as the inventory lists it and as a plan needs to know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deltann.core.artifact import CpuTarget
from deltann.core.factors import OWN_ENGINE, Device
from deltann.core.words import enumerate_words


@dataclass(frozen=True, slots=True)
class SshAccess:
    """How people and playbooks reach a board; the host's own calls go over gRPC.

    Attributes
    ----------
    user, key_file
        None: as the ssh configuration says.
    options
        Further words for the ssh command.
    """

    host: str
    port: int = 22
    user: str | None = None
    key_file: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Board:
    """One board as the inventory lists it.

    Attributes
    ----------
    name
        The name in the inventory, in studies and in the board's certificate.
    address
        Of its agent: `host:port`, or `unix:PATH` on this machine.
    groups
        Every group it is in, the nearest first.
    kind
        Its name in the table of known boards; None when it is none of them.
    python
        Version of the Python that runs its agent, e.g. `3.11`.
    emulated
        Whether the inventory says that it is emulated.
    power_cycle
        A command on this machine that takes its power away and gives it back; None when there is none.
    cuda_arch
        Of its GPU, where the inventory says it, e.g. `sm_90`.
    """

    name: str
    address: str
    groups: tuple[str, ...] = ()
    kind: str | None = None
    python: str = "3.11"
    emulated: bool = False
    ssh: SshAccess | None = None
    power_cycle: str | None = None
    cuda_arch: str | None = None


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """One board as its agent describes it.

    Attributes
    ----------
    name
        The name in the study; `local` is this machine.
    cpu
        What code for this board is generated for; None when the CPU could not be named.
    cores
        Cores that the agent may use, at least 1: the default number of threads.
    runtimes
        Every runtime the agent knows, with the reason why it cannot be used; None when it can.
    emulated
        Whether the machine is emulated, so that its times are no evidence.
    devices
        Every device that TVM may use there, with the reason why it cannot; None when it can.
    cuda_arch
        Of its GPU, e.g. `sm_87`; None where it has none for CUDA, or none that is known.
    engines
        Its other Python environments by name, each with its runtimes as in `runtimes`.
    facts
        Name and value of everything else worth keeping about the machine.
    """

    name: str
    cpu: CpuTarget | None
    cores: int
    runtimes: Mapping[str, str | None]
    emulated: bool = False
    devices: Mapping[Device, str | None] = field(default_factory=lambda: {Device.CPU: None})
    cuda_arch: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    engines: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    def why_no_runtime(self, runtime: str, engine: str) -> str | None:
        """Return why a runtime cannot be used in an engine of the board; None when it can."""
        if engine == OWN_ENGINE:
            return self.runtimes.get(runtime, f"its agent does not know {runtime}")
        if engine not in self.engines:
            known = f"it has {enumerate_words(self.engines)}" if self.engines else "it has none"
            return f"its agent lists no engine {engine!r}; {known}"
        return self.engines[engine].get(runtime, f"engine {engine} has no {runtime}")
