"""Sensors of boards that say what cannot be."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deltann.compare.validity import COLDEST_C, HOTTEST_C, believable_temp_c
from deltann.core.format import format_number, plural
from deltann.core.record import Reading

_TEMPERATURES = f"over {COLDEST_C:.0f} and under {HOTTEST_C:.0f} °C"
_CLOCKS = "over 0 MHz"


@dataclass(frozen=True, slots=True)
class _Sensor:
    """A field of readings.

    Attributes
    ----------
    can
        What it can read, in words.
    lies
        Whether a reading that has the field says what cannot be.
    """

    field: str
    name: str
    unit: str
    of: str
    can: str
    lies: Callable[[Reading], bool]


def believable_clock_mhz(clock_mhz: float | None) -> float | None:
    """Return a clock that a processor at work can have, None for any other."""
    return clock_mhz if clock_mhz is not None and clock_mhz > 0 else None


def _gpu_stands_still(reading: Reading) -> bool:
    clock = reading.gpu_freq_mhz
    # A GPU that does nothing may have its clock off.
    resting = clock == 0 and reading.gpu_load_percent == 0
    return believable_clock_mhz(clock) is None and not resting


_SENSORS = (
    _Sensor(
        "temp_c",
        "thermometer",
        "°C",
        "processor",
        _TEMPERATURES,
        lambda reading: believable_temp_c(reading.temp_c) is None,
    ),
    _Sensor(
        "gpu_temp_c",
        "GPU's thermometer",
        "°C",
        "GPU",
        _TEMPERATURES,
        lambda reading: believable_temp_c(reading.gpu_temp_c) is None,
    ),
    _Sensor(
        "cpu_freq_mhz",
        "clock",
        "MHz",
        "processor",
        _CLOCKS,
        lambda reading: believable_clock_mhz(reading.cpu_freq_mhz) is None,
    ),
    _Sensor("gpu_freq_mhz", "GPU's clock", "MHz", "GPU", _CLOCKS, _gpu_stands_still),
)


def sensor_sentences(board: str, readings: Sequence[Reading]) -> Iterator[str]:
    """Return a sentence for each sensor of a board that read what no processor at work has."""
    for sensor in _SENSORS:
        given = [reading for reading in readings if getattr(reading, sensor.field) is not None]
        wrong = [reading for reading in given if sensor.lies(reading)]
        if wrong:
            value = format_number(getattr(wrong[0], sensor.field))
            yield (
                f"The {sensor.name} of {board} read {value} {sensor.unit} in {len(wrong):,} of "
                f"{plural(len(given), 'reading')}, which no {sensor.of} at work has ({sensor.can}); these "
                "readings are not used."
            )
