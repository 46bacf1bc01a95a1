"""The board's state: before, while and after a trial runs.

Each value is a pure function of a root folder or of a text that a program of the board prints; what
cannot be read is left out of a reading, with a reason, and is never 0.
"""

from deltann_agent.telemetry.accelerators import accelerators
from deltann_agent.telemetry.cpu import memory_available_bytes
from deltann_agent.telemetry.reading import Telemetry

__all__ = ["Telemetry", "accelerators", "memory_available_bytes"]
