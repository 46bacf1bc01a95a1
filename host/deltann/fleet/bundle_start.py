"""Starts a bundle where there is nothing but Python: `python3 FILE`.

This file becomes the bundle's `__main__.py`. It takes the kit out of the bundle and hands over to the agent
in it. Any Python may meet it, if only to be told which one is needed: it uses no more than 3.6 has.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

EXIT_BOARD = 6
SHORT_DIGITS = 12
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError, KeyError, RuntimeError)


class StartError(Exception):
    """The bundle cannot be started here."""


def main() -> int:
    """Start the bundle that this is in; return only if that cannot be."""
    bundle = Path(sys.argv[0]).absolute()
    parser = argparse.ArgumentParser(
        prog=f"python3 {bundle.name}",
        description="Runs the trials of this bundle on this machine, without any network.",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the result (default: the bundle's name with .result)"
    )
    output = (parser.parse_args().output or bundle.with_suffix(".result")).absolute()
    try:
        with zipfile.ZipFile(str(bundle)) as archive:
            launcher, python = unpack_kit(archive, output)
        path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
        words = ["sh", str(launcher), "exec", str(bundle), "--output", str(output)]
        os.execve("/bin/sh", words, {**os.environ, "PATH": path})  # noqa: S606
    except StartError as error:
        said = str(error)
    except OSError as error:
        said = f"{error.filename or output}: {error.strerror or error}. Name another place with --output"
    except _DAMAGE as error:
        said = f"the bundle was altered ({error}). Copy it here again"
    sys.stderr.write(f"{bundle.name}: {said}.\n")
    return EXIT_BOARD


def unpack_kit(archive: zipfile.ZipFile, output: Path) -> "tuple[Path, Path]":
    """Take the kit out of a bundle, beside the result that is to come; return its launcher and a Python.

    Raises
    ------
    StartError
        If there is none, it is for another machine or Python, or it was altered.
    """
    text = archive.read("bundle.json")
    manifest = json.loads(text.decode())
    kit = manifest["kit"]
    if kit is None:
        raise StartError("it brings no kit. Run it with the agent of this board: deltann-agent exec FILE")
    here = architecture(os.uname().machine, sys.maxsize)
    if kit["architecture"] != here:
        raise StartError(
            f"its kit is for {kit['architecture']}, this machine is {here}. Make one for a board of this kind"
        )
    python = find_python(kit["python"])
    # The agent works in this folder as well, and removes it when the result is there.
    work = output.with_name(f"{output.name}.{hashlib.sha256(text).hexdigest()[:SHORT_DIGITS]}.work")
    if not (work / "kit").is_dir():
        data = archive.read(kit["member"])
        if hashlib.sha256(data).hexdigest() != manifest["members"][kit["member"]]:
            raise StartError("its kit was altered. Copy the bundle here again")
        _extract(data, work / "kit")
    return work / "kit" / "bin" / "deltann-agent", python


def architecture(machine: str, largest: int) -> str:
    """Return the architecture of programs: a 32-bit system may run on a 64-bit kernel, as on many a Pi."""
    return "armv7l" if machine in {"aarch64", "armv8l"} and largest < 2**32 else machine


def find_python(version: str) -> Path:
    """Return a Python of this version: this one, or another that is installed.

    Raises
    ------
    StartError
        If there is none.
    """
    this = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = sys.executable if this == version else shutil.which(f"python{version}")
    if not found:
        raise StartError(
            f"its kit is for Python {version}, this is {this}, and there is no python{version} here. Install "
            "it, or make the bundle for the Python of this board"
        )
    return Path(found)


def _extract(data: bytes, folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(str(partial), ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(str(partial))  # noqa: S202
    partial.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
