"""Pairs: two trials that differ in exactly one factor.

A factor that one of the two does not have (None) is no difference when their runtimes differ: TVM's
level says nothing against ONNX Runtime, which has none. Between equal runtimes it is one. Two runtimes that
each read one form only differ in that form, too: that is no difference of its own, there is no other choice.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, product

from deltann.core.factors import Runtime

RUNTIME = "runtime"
IMPORTER = "importer"

_Row = tuple[str | None, ...]


def pair_factor(a: Mapping[str, str | None], b: Mapping[str, str | None]) -> str | None:
    """Return the one factor in which two trials differ, None when they differ in none or in several.

    Parameters
    ----------
    a, b
        Every factor's value as text, the board among them; None where the runtime does not have it.
    """
    differing = [name for name in a.keys() | b.keys() if a.get(name) != b.get(name)]
    if RUNTIME in differing:
        if _read_one_form(a.get(RUNTIME), b.get(RUNTIME)) and IMPORTER in differing:
            differing.remove(IMPORTER)
        differing = [name for name in differing if name == RUNTIME or None not in (a.get(name), b.get(name))]
    return differing[0] if len(differing) == 1 else None


def _read_one_form(*runtimes: str | None) -> bool:
    return Runtime.TVM not in runtimes


def find_pairs(trials: Sequence[Mapping[str, str | None]]) -> list[tuple[int, int, str]]:
    """Return every pair as (index, higher index, factor), in the order of the indices.

    The same as asking `pair_factor` about each two trials, in time near linear in the number of trials
    and of pairs: trials that agree in all factors but one have the same hash when that one is left out.
    """
    names = sorted({name for trial in trials for name in trial} - {RUNTIME})
    rows: list[_Row] = [tuple(trial.get(name) for name in names) for trial in trials]
    runtimes = [trial.get(RUNTIME) for trial in trials]
    return sorted(_within_runtimes(names, rows, runtimes) + _across_runtimes(names, rows, runtimes))


def _within_runtimes(
    names: list[str], rows: list[_Row], runtimes: list[str | None]
) -> list[tuple[int, int, str]]:
    pairs = []
    for column, name in enumerate(names):
        groups: dict[tuple[str | None, _Row], list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            groups[runtimes[index], row[:column] + row[column + 1 :]].append(index)
        pairs += [
            (i, j, name)
            for group in groups.values()
            for i, j in combinations(group, 2)
            if rows[i][column] != rows[j][column]
        ]
    return pairs


def _across_runtimes(
    names: list[str], rows: list[_Row], runtimes: list[str | None]
) -> list[tuple[int, int, str]]:
    # Trials of one kind have the same runtime and the same factors; two kinds are compared by the
    # factors that both have. There are about as many kinds as runtimes.
    kinds: dict[tuple[str | None, tuple[int, ...]], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        has = tuple(column for column, value in enumerate(row) if value is not None)
        kinds[runtimes[index], has].append(index)
    pairs = []
    for ((one, one_has), ones), ((other, other_has), others) in combinations(kinds.items(), 2):
        if one == other:
            continue
        implied = {names.index(IMPORTER)} if IMPORTER in names and _read_one_form(one, other) else set()
        common = sorted(set(one_has) & set(other_has) - implied)
        ones_by_values, others_by_values = _group(rows, ones, common), _group(rows, others, common)
        for values in ones_by_values.keys() & others_by_values.keys():
            for i, j in product(ones_by_values[values], others_by_values[values]):
                pairs.append((min(i, j), max(i, j), RUNTIME))
    return pairs


def _group(rows: list[_Row], indices: list[int], columns: list[int]) -> dict[_Row, list[int]]:
    groups: dict[_Row, list[int]] = defaultdict(list)
    for index in indices:
        groups[tuple(rows[index][column] for column in columns)].append(index)
    return groups
