"""Our CPU schedule: loops tiled for registers and caches, unrolled, vectorized and parallel.

A kernel has at most one block that reduces, its anchor (convolution, matrix product, pooling). Blocks
before it prepare inputs (padding), blocks after it finish outputs (bias, activation). Two shapes of anchor:

- *dense*: one operand does not depend on the last output axis, so each of its values multiplies a whole
  vector. A tile of outputs stays in registers while the reduction runs over it (the inner kernel of Goto
  and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
- *channelwise*: every operand has the last axis (depthwise convolution, pooling). Rows are cut into chunks,
  and padding is made chunk by chunk, so that it stays in the cache.

Imported by build processes only.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import tvm
from tvm import relax, s_tir, tirx

from deltann.compile.kernel import Access, Block, read_access, read_blocks, split_epilogue
from deltann.compile.tile import Machine, Tile, choose_tile, largest_divisor

MIN_PARALLEL_WORK = 16_384
"""Scalar operations below which waking other threads costs more than it saves."""

# A chunk's padded input of 8 rows of 16 channels stays in a first or second level cache.
_CHUNK_CHANNELS = 16
_CHUNK_ROWS = 8
_CHUNK_COLUMNS = 8


def schedule_cpu(unscheduled: dict[str, str]) -> Any:
    """Return the pass `ScheduleCpu`: every kernel of the module scheduled for the target at hand.

    Weights that are constants are packed at build time, into the order in which their kernel reads them.

    Parameters
    ----------
    unscheduled
        Is given the kernels that stay as they were, with the reason.
    """

    def run(module: Any, _context: Any) -> Any:
        machine = machine_of(tvm.target.Target.current())
        scheduled = module.clone()
        for variable, function in module.functions.items():
            if not isinstance(function, tirx.PrimFunc):
                continue
            try:
                scheduled.update_func(variable, schedule_kernel(function, machine))
            except (s_tir.ScheduleError, ValueError) as error:
                unscheduled[variable.name_hint] = str(error).strip().splitlines()[-1]
        return scheduled

    passes = relax.transform
    return tvm.transform.Sequential(
        [
            passes.AttachAttrLayoutFreeBuffers(),  # says which operands are constants
            tvm.transform.module_pass(run, opt_level=0, name="ScheduleCpu"),
            passes.SplitLayoutRewritePreproc(),  # makes a kernel of each packing, which is then
            passes.FoldConstant(),  # run now
            passes.DeadCodeElimination(),
        ]
    )


def machine_of(target: Any) -> Machine:
    """Return the vector registers of an LLVM target."""
    has = tvm.target.codegen.llvm_cpu_has_features
    if has("avx512f", target):
        return Machine(lanes=16, registers=32)
    if has("avx", target):
        return Machine(lanes=8, registers=16)
    return Machine(lanes=4, registers=32 if has("neon", target) else 16)


def schedule_kernel(function: Any, machine: Machine) -> Any:
    """Return `function` scheduled: the same values, but for the rounding of fused multiplication.

    Raises
    ------
    ValueError
        If the kernel has no form that is known here (several reductions, a shape that is not fixed).
    tvm.s_tir.ScheduleError
        If TVM refuses a step.
    """
    schedule = s_tir.Schedule(function)
    blocks = read_blocks(schedule)
    anchors = [index for index, block in enumerate(blocks) if any(block.reduces)]
    if len(anchors) > 1:
        raise ValueError("several blocks reduce")
    if not anchors:
        _schedule_elementwise(schedule, _inline_chain(schedule, blocks), machine)
        return schedule.mod["main"]
    at = anchors[0]
    paddings = _inline_copies(schedule, blocks[:at])
    same, rest = split_epilogue(schedule, blocks[at], blocks[at + 1 :])
    output = (
        _inline_chain(schedule, same).handle if same else schedule.cache_write(blocks[at].handle, 0, "global")
    )
    if rest:
        _schedule_elementwise(schedule, _inline_chain(schedule, rest), machine)
    access = read_access(schedule, blocks[at])
    if access.dense:
        for padding in paddings:
            _schedule_elementwise(schedule, padding, machine)
        _schedule_dense(schedule, blocks[at], output, access, machine)
    else:
        _schedule_channelwise(schedule, blocks[at], output, paddings, machine)
    return schedule.mod["main"]


def _inline_copies(schedule: Any, blocks: Sequence[Block]) -> list[Block]:
    """Inline what prepares an operand, and return the blocks that stay: paddings, read many times over."""
    has_condition = tvm.get_global_func("s_tir.schedule.HasIfThenElse")
    paddings = []
    for block in blocks:
        if has_condition(schedule.get(block.handle)):
            paddings.append(block)
        else:
            schedule.compute_inline(block.handle)
    return paddings


def _inline_chain(schedule: Any, blocks: Sequence[Block]) -> Block:
    """Inline all blocks but the last, and return the last."""
    for block in blocks[:-1]:
        schedule.compute_inline(block.handle)
    return blocks[-1]


def _schedule_elementwise(schedule: Any, block: Block, machine: Machine) -> None:
    """Vectorize the last loop and share the others among the threads."""
    if not block.extents:
        return
    *outer, last = schedule.get_loops(block.handle)
    lanes = largest_divisor(block.extents[-1], machine.lanes)
    steps, vector = schedule.split(last, [None, lanes])
    schedule.vectorize(vector)
    _parallelize(schedule, schedule.fuse(*outer, steps), prod(block.extents))


def _parallelize(schedule: Any, loop: Any, work: int) -> None:
    if work >= MIN_PARALLEL_WORK:
        schedule.parallel(loop)


def _axes(schedule: Any, anchor: Block) -> tuple[list[Any], list[Any]]:
    """Return the loops of the anchor: those over the output, those of the reduction."""
    kinds = [axis.iter_type for axis in schedule.get(anchor.handle).iter_vars]
    loops = list(zip(schedule.get_loops(anchor.handle), kinds, strict=True))
    reduction = [loop for loop, kind in loops if kind == tirx.IterVar.CommReduce]
    return [loop for loop, kind in loops if kind != tirx.IterVar.CommReduce], reduction


def _schedule_dense(schedule: Any, anchor: Block, output: Any, access: Access, machine: Machine) -> None:
    tile, weights_larger = _tile_dense(schedule, anchor, output, access, machine), access.weights_larger
    outer, reduction = _axes(schedule, anchor)
    columns = outer.pop()
    rows = outer.pop() if outer else schedule.add_unit_loop(columns)
    _pack_weights(schedule, anchor, tile)
    even = _extent(schedule, rows) % tile.rows == 0
    row_tiles, row = schedule.split(rows, [None, tile.rows])
    column_tiles, vector, lane = schedule.split(columns, [None, tile.vectors, tile.lanes])
    if even:
        # The operand of the inner of the two loops is read again for each step of the outer one.
        over = [column_tiles, *outer, row_tiles] if weights_larger else [*outer, row_tiles, column_tiles]
        schedule.reorder(*over, *reduction, row, vector, lane)
        tiles = place = schedule.fuse(*over)
    else:
        # The loop over the rows' tiles stays one of its own, which TVM parts before the last, lower one.
        over = [column_tiles, *outer] if weights_larger else [*outer, column_tiles]
        schedule.reorder(*over, row_tiles, *reduction, row, vector, lane)
        tiles, place = schedule.fuse(*over), row_tiles
        schedule.annotate(row_tiles, "pragma_loop_partition_hint", 1)
    schedule.reverse_compute_at(output, place, preserve_unit_loops=True)
    _vectorize_last(schedule, output, tile.lanes)
    _parallelize(schedule, tiles, prod(anchor.extents))
    schedule.unroll(row)
    schedule.unroll(vector)
    schedule.vectorize(lane)
    schedule.decompose_reduction(anchor.handle, reduction[0])


def _tile_dense(schedule: Any, anchor: Block, output: Any, access: Access, machine: Machine) -> Tile:
    """Return the tile of an anchor, all its axes but the last made one where that gives a cheaper one."""
    *outer, columns = anchor.spatial
    rows = outer[-1] if outer else 1
    tile = choose_tile(rows, columns, machine)
    if not access.flat or len(outer) < 2 or _is_parameter(schedule, _written(schedule, anchor)):
        return tile
    # The loop over uneven tiles is the inner one: it had better be the weights that are read only once.
    flat = choose_tile(prod(outer), columns, machine, even=not access.weights_larger)
    if flat.cost(prod(outer)) > tile.cost(rows):
        return tile
    _flatten_rows(schedule, anchor, output)
    return flat


def _pack_weights(schedule: Any, anchor: Block, tile: Tile) -> None:
    """Have the constant operand stored tile by tile: read in order, it needs fewer pages and cache lines."""
    width = tile.vectors * tile.lanes
    node = schedule.get(anchor.handle)
    column = _last_spatial_axis(node)
    for position, read in enumerate(node.reads):
        at = [axis for axis, bounds in enumerate(read.region) if bounds.min.same_as(column)]
        if not at or not _is_parameter(schedule, read.source, "layout_free_buffers"):
            continue
        packing = schedule.cache_read(anchor.handle, position, "global")
        schedule.transform_layout(
            anchor.handle, ("read", position), _tile_first(len(read.region), at[0], width)
        )
        schedule.annotate(packing, "meta_schedule.layout_rewrite_preproc", True)


def _tile_first(axes: int, tiled: int, width: int) -> Any:
    """Return the map of indices that makes the tiles of one axis outermost, their insides innermost."""

    def move(*indices: Any) -> list[Any]:
        others = [*indices[:tiled], *indices[tiled + 1 :]]
        return [indices[tiled] // width, *others, indices[tiled] % width]

    return tirx.IndexMap.from_func(move, ndim=axes)


def _last_spatial_axis(node: Any) -> Any:
    return [axis.var for axis in node.iter_vars if axis.iter_type != tirx.IterVar.CommReduce][-1]


def _written(schedule: Any, block: Block) -> Any:
    return schedule.get(block.handle).writes[0].source


def _is_parameter(schedule: Any, buffer: Any, only: str | None = None) -> bool:
    """Return whether a buffer is a parameter of the kernel; `only` names an attribute that lists them."""
    function = schedule.mod["main"]
    parameters = function.params
    if only is not None:
        parameters = [parameters[int(index)] for index in function.attrs.get(only, ())]
    return any(buffer.same_as(parameter) for parameter in parameters)


def _flatten_rows(schedule: Any, anchor: Block, output: Any) -> None:
    """Make one axis of all output axes but the last, in both blocks and in the buffer between them.

    Fusing their loops instead would leave TVM to find out which part of a tile the epilogue needs, and
    for a tile that crosses the end of a line it is wrong about it.
    """
    rows = len(anchor.spatial) - 1
    buffer = _written(schedule, anchor)
    schedule.transform_block_layout(anchor.handle, _flat_map(anchor.extents, rows))
    schedule.transform_block_layout(output, _flat_map(_extents(schedule, output), rows))
    shape = [int(extent) for extent in buffer.shape]
    schedule.transform_layout(anchor.handle, ("write", 0), _flat_map(shape, rows))


def _extents(schedule: Any, block: Any) -> list[int]:
    return [int(axis.dom.extent) for axis in schedule.get(block).iter_vars]


def _flat_map(extents: Sequence[int], rows: int) -> Any:
    """Return the map of indices that leaves out unit axes and makes one of the first `rows` others."""
    long = [axis for axis, extent in enumerate(extents) if extent > 1]

    def flatten(*indices: Any) -> list[Any]:
        index = indices[long[0]]
        for axis in long[1:rows]:
            index = index * extents[axis] + indices[axis]
        return [index, *(indices[axis] for axis in long[rows:])]

    return tirx.IndexMap.from_func(flatten, ndim=len(extents))


def _extent(schedule: Any, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def _schedule_channelwise(
    schedule: Any, anchor: Block, output: Any, paddings: Sequence[Block], machine: Machine
) -> None:
    outer, reduction = _axes(schedule, anchor)
    channels = outer.pop()
    lanes = largest_divisor(anchor.spatial[-1], machine.lanes)
    vectors = largest_divisor(anchor.spatial[-1] // lanes, max(1, _CHUNK_CHANNELS // lanes))
    chunk, vector, lane = schedule.split(channels, [None, vectors, lanes])
    columns = outer.pop() if outer else schedule.add_unit_loop(chunk)
    rows = outer.pop() if outer else schedule.add_unit_loop(columns)
    strip, column = schedule.split(
        columns, [None, largest_divisor(_extent(schedule, columns), _CHUNK_COLUMNS)]
    )
    slab, row = schedule.split(rows, [None, largest_divisor(_extent(schedule, rows), _CHUNK_ROWS)])
    schedule.reorder(*outer, slab, chunk, row, vector, strip, *reduction, column, lane)
    chunks = schedule.fuse(*outer, slab, chunk)
    for padding in paddings:
        schedule.compute_at(padding.handle, chunks, preserve_unit_loops=True)
        _vectorize_last(schedule, padding.handle, lanes)
    schedule.reverse_compute_at(output, strip, preserve_unit_loops=True)
    _vectorize_last(schedule, output, lanes)
    _parallelize(schedule, chunks, prod(anchor.extents))
    schedule.unroll(column)
    schedule.vectorize(lane)
    schedule.decompose_reduction(anchor.handle, reduction[0])


def _vectorize_last(schedule: Any, block: Any, lanes: int) -> None:
    _, vector = schedule.split(schedule.get_loops(block)[-1], [None, lanes])
    schedule.vectorize(vector)
