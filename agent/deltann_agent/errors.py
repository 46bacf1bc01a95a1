"""Refusals: what the agent will not do for a caller, each with its gRPC status and words for a person."""

from typing import ClassVar

import grpc


class RefusalError(Exception):
    """A call that is answered with a status instead of a result."""

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN


class InvalidError(RefusalError):
    """The request cannot be right, whatever the state of the agent."""

    status = grpc.StatusCode.INVALID_ARGUMENT


class AbsentError(RefusalError):
    """A lease or a blob that the agent does not have, or no longer has."""

    status = grpc.StatusCode.NOT_FOUND


class ConflictError(RefusalError):
    """Right in itself, but not in the present state: somebody else has the board, a runtime is missing."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class ForbiddenError(RefusalError):
    """The caller's certificate does not allow it."""

    status = grpc.StatusCode.PERMISSION_DENIED


class NoRoomError(RefusalError):
    """Over the quota of the store, or no free space on its disk."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class DiskError(RefusalError):
    """The disk of the store cannot be read or written: for the caller the same as one without room."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class OverrunError(RefusalError):
    """More bytes than declared."""

    status = grpc.StatusCode.OUT_OF_RANGE


class DamagedError(RefusalError):
    """Bytes that are not the ones announced: too few, or of another digest."""

    status = grpc.StatusCode.DATA_LOSS


class BundleError(Exception):
    """A bundle that cannot be executed, or whose result cannot be written."""


class StartError(Exception):
    """The agent cannot start: its socket, address or store is in use, or a file of it cannot be used."""
