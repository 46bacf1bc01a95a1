"""Register tiles: how many outputs a kernel computes together."""

from dataclasses import dataclass

PRODUCTS_IN_FLIGHT = 8
"""Products that a core works on at once: 2 start in each cycle, each takes 4."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a register tile must fit: float32 lanes of a vector register, and their number."""

    lanes: int
    registers: int


@dataclass(frozen=True, slots=True)
class Tile:
    """Outputs computed together: `rows` x `vectors` accumulators of `lanes` values each."""

    rows: int
    vectors: int
    lanes: int


def choose_tile(rows: int, columns: int, machine: Machine) -> Tile:
    """Return the register tile for an output of `rows` x `columns`, each of its sides a divisor.

    Notes
    -----
    A step of the reduction loads `rows + vectors` operands for `rows * vectors` products. Vectors count
    twice, as they come from a farther cache. Two loads and two products can start in a cycle, and a product
    takes 4 cycles, so fewer than 8 accumulators leave gaps. The tile with the fewest cycles for each
    product is taken, among equals the one with the fewest loads.
    """
    lanes = largest_divisor(columns, machine.lanes)
    best, best_cost = Tile(1, 1, lanes), (float("inf"), 0.0)
    for vectors in divisors(columns // lanes, machine.registers):
        for height in divisors(rows, machine.registers):
            products, loads = vectors * height, 2 * vectors + height
            # With one row, the vectors are read from memory by the multiplication itself.
            in_use = products + (vectors if height > 1 else 0) + 1
            cost = (max(products, loads, PRODUCTS_IN_FLIGHT) / products, loads / products)
            if in_use < machine.registers and cost < best_cost:
                best, best_cost = Tile(height, vectors, lanes), cost
    return best


def divisors(number: int, limit: int) -> list[int]:
    """Return the divisors of `number` up to `limit`, ascending."""
    return [value for value in range(1, min(number, limit) + 1) if number % value == 0]


def largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of `number` that is at most `limit`."""
    return divisors(number, limit)[-1]
