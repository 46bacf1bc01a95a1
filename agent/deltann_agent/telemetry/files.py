"""Numbers out of the small text files in which the kernel shows its state."""

from pathlib import Path

from deltann_agent.machine import read_text


def number(path: Path) -> float | None:
    """Return the whole number in a file; None when there is none or it cannot be read."""
    text = read_text(path)
    return float(text) if text and text.lstrip("-").isdecimal() else None


def numbers(folder: Path, pattern: str) -> list[float]:
    """Return those of all files that a pattern matches."""
    return [value for path in folder.glob(pattern) if (value := number(path)) is not None]


def hwmon_folders(root: Path, *names: str) -> list[Path]:
    """Return the folders of the sensor chips of these names, sorted."""
    found = (root / "sys/class/hwmon").glob("hwmon*")
    return sorted(folder for folder in found if read_text(folder / "name") in names)


def hottest_zone_c(root: Path, names: tuple[str, ...]) -> float | None:
    """Return the highest temperature among the thermal zones whose type begins with one of `names`.

    Parameters
    ----------
    names
        In lower case.
    """
    temps = [
        millidegrees
        for zone in (root / "sys/class/thermal").glob("thermal_zone*")
        if (read_text(zone / "type") or "").lower().startswith(names)
        and (millidegrees := number(zone / "temp")) is not None
    ]
    return max(temps) / 1000 if temps else None
