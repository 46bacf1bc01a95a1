"""One TLS handshake with a board, to say in words what gRPC calls UNAVAILABLE for every reason."""

import contextlib
import hashlib
import socket
import ssl
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from deltann.core.errors import BoardError
from deltann.fleet.credentials import Credentials
from deltann.fleet.pki import revoked_fingerprints

TIMEOUT_S = 10.0
_PLAYBOOK = "Renew it and run the playbook: deltann pki renew {board}, then ansible-playbook ansible/site.yml"

# What OpenSSL says of the board's certificate, and what that means here.
_OF_THE_BOARD: tuple[tuple[str, str, str], ...] = (
    ("certificate has expired", "its certificate has expired", _PLAYBOOK),
    ("not yet valid", "its certificate is not valid yet", "Look at the clocks of this host and of the board"),
    ("Hostname mismatch", "its certificate is another board's", "Look at its address in the inventory"),
    (
        "purpose",
        "its certificate is no board's: it may not serve",
        "Issue one with --role board and run the playbook",
    ),
    (
        "",
        "its certificate comes from another authority",
        "Run the playbook with this host's certificates, or name the right folder in DELTANN_PKI",
    ),
)


def shake_hands(address: str, board: str, credentials: Credentials) -> bytes:
    """Connect once, see that both sides accept each other, and return the board's certificate in PEM.

    Parameters
    ----------
    address
        `host:port`.
    board
        The name that the board's certificate must have.

    Raises
    ------
    BoardError
        If nobody answers, or a certificate is refused, with the reason.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S) as plain:
            return _secure(plain, board, credentials)
    except BoardError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise _refused_by_us(board, address, error) from error
    except TimeoutError as error:
        raise _absent(board, address, f"it did not answer within {TIMEOUT_S:.0f} s") from error
    except ssl.SSLError as error:
        raise _failed(board, credentials, error) from error
    except (OSError, ValueError) as error:
        raise _absent(board, address, getattr(error, "strerror", None) or str(error)) from error


def _secure(plain: socket.socket, board: str, credentials: Credentials) -> bytes:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(credentials.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(credentials.certificate, credentials.key)
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(plain, server_hostname=board) as secured:
        shown = secured.getpeercert(binary_form=True) or b""
        if hashlib.sha256(shown).hexdigest() in revoked_fingerprints(credentials.revoked):
            raise BoardError(
                "its certificate is revoked",
                where=f"board {board}",
                hint=f"Run: deltann pki renew {board}, then the playbook",
            )
        # In TLS 1.3 the board judges our certificate after our side is done; gRPC's server speaks first.
        if not _first_byte(secured):
            raise _refused_by_board(board, credentials)
        with contextlib.suppress(OSError):
            secured.unwrap()
    return ssl.DER_cert_to_PEM_cert(shown).encode()


def _first_byte(secured: ssl.SSLSocket) -> bytes:
    try:
        return secured.recv(1)
    except ConnectionResetError:
        return b""


def _refused_by_us(board: str, address: str, error: ssl.SSLCertVerificationError) -> BoardError:
    words = error.verify_message
    what, hint = next((what, hint) for sign, what, hint in _OF_THE_BOARD if sign in words)
    return BoardError(f"{what} ({words})", where=f"board {board} at {address}", hint=hint.format(board=board))


def _failed(board: str, credentials: Credentials, error: ssl.SSLError) -> BoardError:
    reason = error.reason or str(error)
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason:
        return BoardError(
            "what answers there does not speak TLS", where=f"board {board}", hint="Look at its port"
        )
    return _refused_by_board(board, credentials)


def _refused_by_board(board: str, credentials: Credentials) -> BoardError:
    # gRPC's servers close without a word: what is wrong with our certificate has to be seen from here.
    certificate = x509.load_pem_x509_certificate(credentials.certificate.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if certificate.not_valid_after_utc < datetime.now(UTC):
        reason = "our certificate has expired"
    elif ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        reason = "our certificate may serve, but not ask"
    else:
        reason = "our certificate comes from an authority that it does not know, or its clock is wrong"
    return BoardError(
        f"the board refused us: {reason}",
        where=f"board {board}",
        hint=f"Our certificate is {credentials.certificate}",
    )


def _absent(board: str, address: str, reason: str) -> BoardError:
    return BoardError(
        f"nobody answers at {address}: {reason}",
        where=f"board {board}",
        hint=f"See that the board is on and its agent runs: deltann boards logs {board}",
    )
