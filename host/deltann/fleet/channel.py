"""gRPC channels to agents, and the words for what goes wrong on them."""

from typing import TYPE_CHECKING

import grpc

from deltann.core.errors import BoardError

if TYPE_CHECKING:
    from deltann.fleet.credentials import Credentials

MAX_MESSAGE_BYTES = 8 * 2**20
RECONNECT_MS = 50
CONNECT_MS = 10_000
UNIX = "unix:"

# A ping every 20 s notices a vanished board; the agent allows one every 10 s. The time-out is long
# because a worker may starve the agent's process on a small board.
_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # An agent that was just started is there within tenths of a second; gRPC's first wait is one second.
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS),
    # Despite its name, how long one attempt to connect may take: a small board at work takes its time.
    ("grpc.min_reconnect_backoff_ms", CONNECT_MS),
]

_HINTS = {
    grpc.StatusCode.PERMISSION_DENIED: "Use a certificate with the role controller (DELTANN_IDENTITY)",
    grpc.StatusCode.UNAVAILABLE: "Look at the agent's log on the board, then start it again",
    grpc.StatusCode.DEADLINE_EXCEEDED: "The agent is there but silent: look at its log and its load",
    grpc.StatusCode.FAILED_PRECONDITION: "Wait until it is free, or end the other run",
}
# A full disk says by itself where to free some space; the quota is given at another place for each board.
_QUOTA_HINT = "Raise deltann_agent_quota_bytes in the inventory, or DELTANN_QUOTA_BYTES for this machine"


def open_channel(
    address: str, credentials: "Credentials | None" = None, *, board: str = "", trusted: bytes | None = None
) -> grpc.aio.Channel:
    """Return a channel to an agent; nothing is sent yet.

    Parameters
    ----------
    address
        `unix:PATH`, which needs no credentials: the socket is its owner's alone. Or `host:port`.
    board
        The name that the board's certificate must have: identity is the name, not the address.
    trusted
        The one certificate, in PEM, that is accepted of the board; None: any of the authority's.

    Raises
    ------
    BoardError
        If a network address comes without credentials.
    """
    if address.startswith(UNIX):
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    if credentials is None:
        raise BoardError(
            "a network address is only spoken to with certificates",
            where=address,
            hint="Run: deltann pki init, then deltann pki issue controller --role controller",
        )
    secured = grpc.ssl_channel_credentials(
        trusted or credentials.ca.read_bytes(),
        credentials.key.read_bytes(),
        credentials.certificate.read_bytes(),
    )
    # Boards are neighbours: no proxy that the environment names stands between.
    options = [*_OPTIONS, ("grpc.ssl_target_name_override", board), ("grpc.enable_http_proxy", 0)]
    return grpc.aio.secure_channel(address, secured, options=options)


class BoardFullError(BoardError):
    """The board has no room for a file."""


class UnfitBoardError(BoardError):
    """What answers is not the board that is meant, or speaks another version of the wire."""


class BoardBusyError(BoardError):
    """Somebody else holds the board."""


def board_error(board: str, doing: str, error: grpc.aio.AioRpcError) -> BoardError:
    """Return what a failed call means, in words."""
    details, hint = error.details() or "no details", _HINTS.get(error.code())
    kind = BoardError
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        kind, hint = BoardFullError, _QUOTA_HINT if "the quota is" in details else None
    return kind(f"{doing} failed ({error.code().name}): {details}", where=f"board {board}", hint=hint)
