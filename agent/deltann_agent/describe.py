"""What an agent says of its board and of itself."""

from os import getpid

from deltann_agent import machine
from deltann_agent.prepare import Here
from deltann_agent.runtimes import RuntimeInfo, find_runtimes, installed_version
from deltann_agent.telemetry import accelerators
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb


def describe(here: Here) -> pb.Description:
    """Return all but the store and the lease."""
    description = pb.Description(
        agent_version=installed_version("deltann") or "unknown",
        agent_pid=getpid(),
        machine=machine.describe(here.platform),
        runtimes=[_runtime_message(info) for info in find_runtimes(here.library).values()],
        protocol=PROTOCOL,
    )
    if not description.machine.emulated:
        description.machine.accelerators.extend(accelerators())
    return description


def _runtime_message(info: RuntimeInfo) -> pb.Runtime:
    return pb.Runtime(
        name=info.name, available=info.reason is None, version=info.version, reason=info.reason or ""
    )
