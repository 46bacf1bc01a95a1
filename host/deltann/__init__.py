"""Differential testing of deployed image-recognition networks: the host controller."""

from importlib.metadata import version

__version__ = version("deltann")
