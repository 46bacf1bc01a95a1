"""Installed packages, found without importing them."""

import importlib.util
from pathlib import Path


def package_folder(distribution: str) -> Path | None:
    """Return the folder of an installed package without importing it; None when there is none.

    It is imported under the distribution's name with `_` for `-`.
    """
    spec = importlib.util.find_spec(distribution.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])
