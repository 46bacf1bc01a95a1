"""Register tiles: how many outputs a kernel computes together."""

from dataclasses import dataclass

PRODUCTS_IN_FLIGHT = 8
"""Products that a core works on at once: 2 start in each cycle, each takes 4."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a register tile must fit: float32 lanes of a vector register, and their number."""

    lanes: int
    registers: int


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """What an output costs with a tile, for each of its products; the lower is the better one.

    Attributes
    ----------
    cycles
        Of a core, a step of the reduction being as long as the slowest of its products, loads and gaps.
    uneven
        Whether the tiles at the end are lower: further code, and fewer orders of the loops.
    loads
        Of operands.
    """

    cycles: float
    uneven: bool
    loads: float


@dataclass(frozen=True, slots=True)
class Tile:
    """Outputs computed together: `rows` x `vectors` accumulators of `lanes` values each."""

    rows: int
    vectors: int
    lanes: int

    @property
    def registers(self) -> int:
        """Those in use: accumulators, one step's vectors and the value that multiplies them."""
        # With one row, the vectors are read from memory by the multiplication itself.
        return self.rows * self.vectors + (self.vectors if self.rows > 1 else 0) + 1

    def cost(self, rows: int) -> Cost:
        """Return what an output with so many rows costs.

        Notes
        -----
        A step of the reduction loads `rows + vectors` operands for `rows * vectors` products. Vectors count
        twice, as they come from a farther cache. Two loads and two products can start in a cycle, and a
        product takes 4 cycles, so fewer than 8 accumulators leave gaps.
        """
        whole, last = divmod(rows, self.rows)
        steps = [(whole, self.rows), *([(1, last)] if last else [])]
        cycles, loads = 0, 0
        for count, height in steps:
            operands = 2 * self.vectors + height
            cycles += count * max(self.vectors * height, operands, PRODUCTS_IN_FLIGHT)
            loads += count * operands
        products = rows * self.vectors
        return Cost(cycles / products, last > 0, loads / products)


def choose_tile(rows: int, columns: int, machine: Machine, *, even: bool = False) -> Tile:
    """Return the cheapest register tile for an output of `rows` x `columns`.

    Its width is a divisor of the columns. Its height need not divide the rows unless `even`: the tile at
    the end is then lower than the others.
    """
    lanes = largest_divisor(columns, machine.lanes)
    heights = divisors(rows, machine.registers) if even else range(1, min(rows, machine.registers) + 1)
    tiles = (
        Tile(height, vectors, lanes)
        for vectors in divisors(columns // lanes, machine.registers)
        for height in heights
    )
    fitting = [tile for tile in tiles if tile.registers < machine.registers]
    return min(fitting, key=lambda tile: tile.cost(rows))


def divisors(number: int, limit: int) -> list[int]:
    """Return the divisors of `number` up to `limit`, ascending."""
    return [value for value in range(1, min(number, limit) + 1) if number % value == 0]


def largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of `number` that is at most `limit`."""
    return divisors(number, limit)[-1]
