"""Environments: Pythons of their own, for converters whose packages agree with nobody else's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python with packages of its own, which `deltann environment make` makes.

    Attributes
    ----------
    name
        As `Converter.python` has it.
    requirements
        What pip installs, each `NAME==VERSION`; their own requirements are pinned by themselves.
    pythons
        Versions of Python that they run on, the best first.
    size_mb
        About what it takes on the disk.
    """

    name: str
    requirements: tuple[str, ...]
    pythons: tuple[str, ...]
    size_mb: int

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package that is asked for."""
        return {name: version for name, _, version in (line.partition("==") for line in self.requirements)}


ENVIRONMENTS: dict[str, Environment] = {
    environment.name: environment
    for environment in (
        # It pins numpy, onnx and ten more to single versions, and psutil, which every child of ours needs.
        Environment("onnx2tf", ("onnx2tf==2.6.9",), ("3.12", "3.13"), 660),
    )
}
"""What can be made, by name."""


def variable_of(environment: str) -> str:
    """Return the variable that names the interpreter of an environment."""
    return f"DELTANN_PYTHON_{environment.upper()}"
