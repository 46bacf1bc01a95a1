"""Register tiles."""

import pytest

from deltann.compile.tile import Machine, Tile, choose_tile, divisors, largest_divisor

MACHINES = {"sse": Machine(4, 16), "avx2": Machine(8, 16), "avx512": Machine(16, 32), "neon": Machine(4, 32)}


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("rows", [1, 2, 7, 17, 49, 196, 289, 12544])
@pytest.mark.parametrize("columns", [1, 3, 8, 10, 24, 40, 192, 1000, 1001, 1280])
def test_a_tile_fits_the_output_and_the_registers(rows, columns, machine, even):
    tile = choose_tile(rows, columns, machine, even=even)
    assert rows % tile.rows == 0 or not even
    assert tile.rows <= rows
    assert columns % (tile.vectors * tile.lanes) == 0
    assert tile.lanes <= machine.lanes
    assert tile.rows * tile.vectors < machine.registers


@pytest.mark.parametrize("rows", [7, 14, 17, 71, 73, 147, 149, 197, 289])
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_rows_without_a_good_divisor_cost_nearly_what_others_do(rows, machine):
    tile, ideal = choose_tile(rows, 192, machine), choose_tile(5040, 192, machine)
    assert tile.cost(rows).cycles <= 1.2 * ideal.cost(5040).cycles


def test_a_tile_that_divides_the_rows_is_taken_before_an_equal_one():
    assert choose_tile(56, 64, MACHINES["avx2"]) == Tile(4, 2, 8)
    assert choose_tile(17, 64, MACHINES["avx2"]) == Tile(6, 2, 8)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(144, 240), (12544, 96), (196, 672), (49, 1152), (784, 40), (3136, 24), (17, 192), (71, 192)],
)
def test_a_tile_keeps_both_multipliers_busy(rows, columns):
    tile = choose_tile(rows, columns, MACHINES["avx2"])
    assert tile.rows * tile.vectors >= 7, "a product takes 4 cycles, and 2 can start in each"
    assert tile.rows > 1, "each vector that was loaded is used more than once"


def test_divisors():
    assert divisors(12, 5) == [1, 2, 3, 4]
    assert divisors(7, 100) == [1, 7]
    assert largest_divisor(1001, 8) == 7
    assert largest_divisor(13, 8) == 1
