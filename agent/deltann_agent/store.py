"""The store: blobs by sha256 in one folder, bounded by a quota, the least recently used go first."""

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

from deltann_agent.errors import (
    AbsentError,
    DamagedError,
    DiskError,
    InvalidError,
    NoRoomError,
    OverrunError,
    StartError,
)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_INCOMING = ".incoming-"
_LOCK = ".lock"


def check_digest(digest: str) -> str:
    """Return `digest` if it is one: 64 lower-case hex digits.

    Raises
    ------
    InvalidError
        If not; a path, for one, is never taken for a name.
    """
    if not _DIGEST.fullmatch(digest):
        raise InvalidError(f"a blob is named by its sha256, 64 lower-case hex digits, not {digest[:80]!r}")
    return digest


class Store:
    """Blobs of one folder, which this process alone uses.

    What a lease uses is pinned and never evicted. The order of use survives a restart as the files'
    modification times.

    Parameters
    ----------
    quota_bytes
        All blobs together.
    address
        Where this process answers, for whoever finds the folder in use: the lock's second line.

    Raises
    ------
    StartError
        If the folder cannot be made, or another agent has it.
    """

    def __init__(self, folder: Path, quota_bytes: int, address: str = "") -> None:
        self.folder = folder
        self.quota_bytes = quota_bytes
        self._reserved_bytes = 0
        self._pinned: set[str] = set()
        self._lock_fd = _lock(folder, address)
        for leftover in folder.glob(f"{_INCOMING}*"):
            leftover.unlink()
        found = ((path, path.stat()) for path in folder.iterdir() if _DIGEST.fullmatch(path.name))
        by_use = sorted(found, key=lambda item: item[1].st_mtime_ns)
        self._sizes: dict[str, int] = {path.name: status.st_size for path, status in by_use}

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def used_bytes(self) -> int:
        """Bytes of all blobs."""
        return sum(self._sizes.values())

    def close(self) -> None:
        """Let another agent have the folder."""
        os.close(self._lock_fd)

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Return those that are not here; pin the others.

        Raises
        ------
        InvalidError
            If one of them is none.
        DiskError
            If the disk does not do what it should.
        """
        return [digest for digest in digests if not self._try_pin(digest)]

    def pin(self, digest: str) -> Path:
        """Return the blob's file, marked as used now and kept until `unpin_all`.

        Raises
        ------
        InvalidError
            If `digest` is none.
        AbsentError
            If the blob is not here.
        DiskError
            If the disk does not do what it should.
        """
        path = self.folder / check_digest(digest)
        with _disk(self.folder):
            try:
                os.utime(path, ns=(time.time_ns(),) * 2)
                self._sizes[digest] = self._sizes.pop(digest)
            except (KeyError, FileNotFoundError):
                self._sizes.pop(digest, None)
                raise AbsentError(f"blob {digest} is not here; upload it first") from None
        self._pinned.add(digest)
        return path

    def _try_pin(self, digest: str) -> bool:
        try:
            self.pin(digest)
        except AbsentError:
            return False
        return True

    def unpin_all(self) -> None:
        """Let every blob be evicted when room is needed."""
        self._pinned.clear()

    def receive(self, digest: str, size_bytes: int) -> "Incoming":
        """Return a new blob to write, after making room for it.

        Raises
        ------
        InvalidError
            If `digest` is none.
        NoRoomError
            If no eviction could make room within the quota or on the disk.
        DiskError
            If the disk does not do what it should.
        """
        check_digest(digest)
        with _disk(self.folder):
            self._make_room(size_bytes)
            incoming = Incoming(self.folder, digest, size_bytes, self._settle)
        self._reserved_bytes += size_bytes
        return incoming

    def _settle(self, digest: str, size_bytes: int, kept: bool) -> None:
        self._reserved_bytes -= size_bytes
        if kept:
            self._sizes.pop(digest, None)
            self._sizes[digest] = size_bytes

    def _make_room(self, size_bytes: int) -> None:
        evictable = {name: size for name, size in self._sizes.items() if name not in self._pinned}
        taken_bytes = self.used_bytes + self._reserved_bytes
        least_bytes = taken_bytes - sum(evictable.values())
        if least_bytes + size_bytes > self.quota_bytes:
            raise NoRoomError(
                f"{size_bytes} bytes do not fit: the quota is {self.quota_bytes} bytes, of which "
                f"{least_bytes} are in use by the lease"
            )
        free_bytes = _free_bytes(self.folder) - self._reserved_bytes
        if size_bytes > free_bytes + sum(evictable.values()):
            raise NoRoomError(
                f"{size_bytes} bytes do not fit: {max(free_bytes, 0)} bytes are free on the disk of "
                f"{self.folder}; free some space there"
            )
        for name, size in evictable.items():
            if taken_bytes + size_bytes <= self.quota_bytes and size_bytes <= free_bytes:
                return
            (self.folder / name).unlink(missing_ok=True)
            taken_bytes -= self._sizes.pop(name)
            free_bytes += size


class Incoming:
    """A blob on its way in: a temporary file beside the others, renamed when it is whole.

    A context manager: on any exit before `keep`, nothing stays behind.
    """

    def __init__(
        self, folder: Path, digest: str, size_bytes: int, settle: Callable[[str, int, bool], None]
    ) -> None:
        # Here, not above: OpenSSL is a tenth of an idle agent's memory.
        import hashlib

        self._folder = folder
        self._target = folder / digest
        self._size_bytes = size_bytes
        self._settle = settle
        self._hash = hashlib.sha256()
        self._kept = False
        self.received_bytes = 0
        self._path = folder / f"{_INCOMING}{os.urandom(8).hex()}"
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> "Incoming":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A disk that fails here has already said so; what it keeps, the next start removes.
        with contextlib.suppress(OSError):
            os.close(self._fd)
        if not self._kept:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._settle(self._target.name, self._size_bytes, self._kept)

    def write(self, chunk: bytes) -> None:
        """Add bytes.

        Raises
        ------
        OverrunError
            If they are more than declared.
        NoRoomError
            If the disk is full.
        DiskError
            If it does not do what it should.
        """
        self.received_bytes += len(chunk)
        if self.received_bytes > self._size_bytes:
            raise OverrunError(
                f"more bytes than the {self._size_bytes} declared for blob {self._target.name}"
            )
        self._hash.update(chunk)
        rest = memoryview(chunk)
        with _disk(self._folder):
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def sync(self) -> None:
        """Bring the bytes to the disk. May take long: call it beside the event loop.

        Raises
        ------
        DamagedError
            If they are fewer than declared, or of another digest.
        NoRoomError
            If the disk is full.
        DiskError
            If it does not do what it should.
        """
        name = self._target.name
        if self.received_bytes < self._size_bytes:
            raise DamagedError(
                f"{self.received_bytes} bytes came of the {self._size_bytes} declared for blob {name}; "
                "send it again"
            )
        if self._hash.hexdigest() != name:
            raise DamagedError(f"the bytes have sha256 {self._hash.hexdigest()}, not {name}; send them again")
        with _disk(self._folder):
            os.fsync(self._fd)

    def keep(self) -> None:
        """Make it a blob of the store. Raises NoRoomError and DiskError as `sync` does."""
        with _disk(self._folder):
            self._path.replace(self._target)
        self._kept = True


def _lock(folder: Path, address: str) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            f"the store {folder} cannot be used: {error.strerror}. Name another --store."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").partition("\n")[0] or "unknown"
        os.close(lock)
        raise StartError(
            f"the store {folder} is in use by the agent with pid {holder}. End it or name another --store."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n{address}\n".encode(), 0)
    return lock


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Say in words what the disk of the store did. Raises NoRoomError and DiskError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError("the disk of the store is full; free some space there") from error
        what = error.strerror or str(error)
        raise DiskError(f"the store cannot be written: {what}; mend the disk of {folder}") from error
