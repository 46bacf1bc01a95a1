"""Who may call what on a network address: by the role in the caller's certificate.

That the certificate comes from the fleet's authority and is in time, gRPC has seen to by then.
"""

import base64
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio

from deltann_agent.errors import ForbiddenError, StartError

ROLE_DOMAIN = ".role.deltann"
"""A certificate's role is the name `ROLE.role.deltann` among its alternative names."""
CONTROLLER, VIEWER = "controller", "viewer"
VIEWERS_CALLS = frozenset(
    {"/deltann.v1.Agent/Describe", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}
)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_KINDS: dict[str, Callable[..., Any]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}

_log = logging.getLogger(__name__)


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Lets callers through or refuses them: every call of every service comes by here.

    Parameters
    ----------
    revoked
        A list of fingerprints, read again whenever it changes; None: nothing is revoked.

    Raises
    ------
    StartError
        If the list cannot be read.
    """

    def __init__(self, revoked: Path | None) -> None:
        self._path = revoked
        self._stamp: tuple[int, int, int] | None = None
        self._revoked: frozenset[str] = frozenset()
        try:
            self._read_again()
        except (OSError, ValueError) as error:
            raise StartError(
                f"the list of revoked certificates {revoked} cannot be read: {error}. "
                "An empty file means that none is revoked."
            ) from error

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], call: Any) -> Any:
        """Return the handler of a call, behind the gate."""
        handler = await continuation(call)
        if handler is None:  # no such method: gRPC says so itself
            return None
        kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
        work = getattr(handler, kind)

        async def gated(request: Any, context: Context) -> Any:
            try:
                self.check(call.method, context)
            except ForbiddenError as refusal:
                await context.abort(refusal.status, str(refusal))
            return await work(request, context)

        return _KINDS[kind](gated, handler.request_deserializer, handler.response_serializer)

    def check(self, method: str, context: Context) -> None:
        """Let a call pass, e.g. of `/deltann.v1.Agent/Describe`.

        Raises
        ------
        ForbiddenError
            If the certificate is revoked, or its role may not call this.
        """
        if context.peer().startswith("unix:"):  # the socket's mode is the gate
            return
        reason = self._why_not(method, context.auth_context())
        if reason is not None:
            _log.warning("refused %s from %s: %s", method.rpartition("/")[2], context.peer(), reason)
            raise ForbiddenError(reason)

    def _why_not(self, method: str, auth: Mapping[str, Iterable[bytes]]) -> str | None:
        call = method.rpartition("/")[2]
        pem = b"".join(auth.get("x509_pem_cert", ()))
        if not pem:
            return f"only a certificate opens {call}, and none was shown"
        who = b"".join(auth.get("x509_common_name", ())).decode(errors="replace")
        revoked = self._revocations()
        if revoked and fingerprint(pem) in revoked:
            return f"the certificate of {who!r} is revoked"
        names = [name.decode(errors="replace") for name in auth.get("x509_subject_alternative_name", ())]
        role = next((name.removesuffix(ROLE_DOMAIN) for name in names if name.endswith(ROLE_DOMAIN)), "")
        if role == CONTROLLER or (role == VIEWER and method in VIEWERS_CALLS):
            return None
        if role == VIEWER:
            return f"{who!r} is a viewer, who may look but not {call}; a controller may"
        return (
            f"the certificate of {who!r} has the role {role or 'of nobody'}, and only a controller may {call}"
        )

    def _revocations(self) -> frozenset[str]:
        try:
            self._read_again()
        except (OSError, ValueError) as error:
            # What was revoked stays revoked while the list is being replaced.
            _log.warning("the list of revoked certificates cannot be read: %s", error)
        return self._revoked

    def _read_again(self) -> None:
        if self._path is None:
            return
        status = self._path.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            lines = self._path.read_text().splitlines()
            self._revoked = frozenset(line.split()[0].lower() for line in lines if line.strip())
            self._stamp = stamp


def fingerprint(pem: bytes) -> str:
    """Return the sha256 of the DER in a PEM certificate, hexadecimal."""
    import hashlib  # OpenSSL is a tenth of an idle agent's memory

    body = pem.decode().partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]
    return hashlib.sha256(base64.b64decode(body)).hexdigest()
