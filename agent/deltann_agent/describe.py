"""What an agent says of its board and of itself."""

from os import getpid

from deltann_agent.prepare import Here
from deltann_agent.runtimes import RuntimeInfo, find_runtimes, installed_version
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb


def describe(here: Here) -> pb.Description:
    """Return all but the store and the lease."""
    board = here.machine()
    return pb.Description(
        agent_version=installed_version("deltann") or "unknown",
        agent_pid=getpid(),
        machine=board,
        runtimes=[
            *(_runtime_message(info, here, board) for info in find_runtimes(here.library).values()),
            *(
                _runtime_message(info, here, board, engine.name)
                for engine in here.engines.values()
                for info in engine.runtimes.values()
            ),
        ],
        protocol=PROTOCOL,
    )


def _runtime_message(info: RuntimeInfo, here: Here, board: pb.Machine, engine: str = "") -> pb.Runtime:
    return pb.Runtime(
        name=info.name,
        engine=engine,
        available=info.reason is None,
        version=info.version,
        reason=info.reason or "",
        devices=here.devices(info.name, board) if info.reason is None else {},
    )
