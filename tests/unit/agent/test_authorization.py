"""The gate: who may call what, and what the others are told."""

import base64
import hashlib

import grpc
import pytest

from deltann_agent.authorization import Gate
from deltann_agent.errors import ForbiddenError, StartError

DESCRIBE, UPLOAD, RUN = (f"/deltann.v1.Agent/{name}" for name in ("Describe", "UploadBlob", "RunTrial"))
HEALTH = "/grpc.health.v1.Health/Check"
DER = b"stands for a certificate"
PEM = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(DER) + b"\n-----END CERTIFICATE-----\n"
FINGERPRINT = hashlib.sha256(DER).hexdigest()


class Peer:
    """A caller as gRPC presents it."""

    def __init__(self, *names: str, address: str = "ipv4:10.0.0.7:50000", pem: bytes | None = PEM) -> None:
        self._address = address
        self._auth = {
            "x509_common_name": [b"ada"],
            "x509_subject_alternative_name": [b"ada", *(name.encode() for name in names)],
        }
        if pem is not None:
            self._auth["x509_pem_cert"] = [pem]
        self.aborted = None

    def peer(self) -> str:
        return self._address

    def auth_context(self):
        return self._auth

    async def abort(self, code, details):
        self.aborted = (code, details)
        raise grpc.aio.AbortError


CONTROLLER, VIEWER = Peer("controller.role.deltann"), Peer("viewer.role.deltann")


@pytest.mark.parametrize("method", [DESCRIBE, UPLOAD, RUN, HEALTH])
def test_a_controller_may_call_everything(method):
    Gate(None).check(method, CONTROLLER)


@pytest.mark.parametrize("method", [DESCRIBE, HEALTH])
def test_a_viewer_may_look(method):
    Gate(None).check(method, VIEWER)


@pytest.mark.parametrize("method", [UPLOAD, RUN, "/deltann.v1.Agent/DescribeMore", "/x/Describe"])
def test_a_viewer_may_do_nothing_else(method):
    with pytest.raises(ForbiddenError, match="'ada' is a viewer, who may look but not"):
        Gate(None).check(method, VIEWER)


@pytest.mark.parametrize(
    ("names", "role"), [([], "of nobody"), (["board.role.deltann"], "board"), (["controller"], "of nobody")]
)
@pytest.mark.parametrize("method", [DESCRIBE, HEALTH, UPLOAD])
def test_who_has_no_role_to_ask_may_call_nothing(names, role, method):
    with pytest.raises(ForbiddenError, match=f"'ada' has the role {role}, and only a controller may"):
        Gate(None).check(method, Peer(*names))


def test_without_a_certificate_only_a_unix_socket_lets_in():
    Gate(None).check(UPLOAD, Peer(address="unix:", pem=None))
    with pytest.raises(ForbiddenError, match="only a certificate opens UploadBlob, and none was shown"):
        Gate(None).check(UPLOAD, Peer("controller.role.deltann", pem=None))


def test_a_list_of_revocations_counts_from_the_moment_it_changes(tmp_path):
    path = tmp_path / "revoked"
    path.write_text("")
    gate = Gate(path)
    gate.check(UPLOAD, CONTROLLER)
    path.write_text(f"\n{FINGERPRINT.upper()} ada 2026-01-01\n")
    with pytest.raises(ForbiddenError, match="the certificate of 'ada' is revoked"):
        gate.check(HEALTH, CONTROLLER)
    path.unlink()  # it is being replaced
    with pytest.raises(ForbiddenError):
        gate.check(HEALTH, CONTROLLER)
    path.write_text("")
    gate.check(UPLOAD, CONTROLLER)


def test_a_list_of_revocations_that_is_not_there_keeps_the_agent_from_starting(tmp_path):
    with pytest.raises(StartError, match=r"revoked cannot be read.*An empty file means that none is revoked"):
        Gate(tmp_path / "revoked")


async def _called(method: str, peer: Peer):
    async def work(request, context):
        return request + 1

    async def found(call):
        return grpc.unary_unary_rpc_method_handler(work)

    class Call:
        pass

    Call.method = method
    handler = await Gate(None).intercept_service(found, Call)
    return await handler.unary_unary(1, peer)


async def test_a_refused_call_never_reaches_its_work_and_is_logged(caplog):
    assert await _called(RUN, CONTROLLER) == 2
    refused = Peer("viewer.role.deltann")
    with pytest.raises(grpc.aio.AbortError):
        await _called(RUN, refused)
    assert refused.aborted[0] is grpc.StatusCode.PERMISSION_DENIED
    assert "refused RunTrial from ipv4:10.0.0.7:50000: 'ada' is a viewer" in caplog.text


async def test_an_unknown_method_is_left_to_grpc():
    async def found(call):
        return None

    assert await Gate(None).intercept_service(found, None) is None
