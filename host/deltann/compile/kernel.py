"""What a kernel is made of: its blocks, how they follow from each other, how they read.

Imported by build processes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx
from tvm.s_tir.dlight import normalize_prim_func


@dataclass(frozen=True, slots=True)
class Block:
    """A block with its loops, unit loops left out: their extents, and which of them reduce."""

    handle: Any
    extents: tuple[int, ...]
    reduces: tuple[bool, ...]

    @property
    def spatial(self) -> tuple[int, ...]:
        """The extents of the output axes."""
        return tuple(
            extent for extent, reduces in zip(self.extents, self.reduces, strict=True) if not reduces
        )


def read_blocks(schedule: Any) -> list[Block]:
    """Return the blocks of a kernel in order, its loops brought to normal form.

    Raises
    ------
    ValueError
        If that cannot be done, or a loop has no fixed extent.
    """
    infos = normalize_prim_func(schedule)
    if not infos:
        raise ValueError("the loops have no normal form")
    blocks = []
    for info in infos:
        if not all(isinstance(extent, int) for extent in info.dom()) or "O" in info.dom_kind():
            raise ValueError("a loop has no fixed extent")
        blocks.append(Block(info.block_rv, tuple(info.dom()), tuple(kind == "R" for kind in info.dom_kind())))
    return blocks


def split_epilogue(
    schedule: Any, anchor: Block, after: Sequence[Block]
) -> tuple[Sequence[Block], Sequence[Block]]:
    """Return the blocks after the anchor that go over its outputs one by one, and the rest.

    Only the former can join the anchor's tiles. TVM would move a block of another domain there without
    complaint, a padding for one, and the kernel would compute something else.
    """
    count = 0
    for block in after:
        if block.extents != anchor.spatial or not _is_pointwise(schedule, block):
            break
        count += 1
    return after[:count], after[count:]


def _is_pointwise(schedule: Any, block: Block) -> bool:
    """Return whether a block writes where its loops stand, and reads there what was written before."""
    node = schedule.get(block.handle)
    produced = {
        write.source
        for producer in schedule.get_producers(block.handle)
        for write in schedule.get(producer).writes
    }
    variables = [axis.var for axis in node.iter_vars]
    regions = [*node.writes, *(read for read in node.reads if read.source in produced)]
    return all(_goes_along(region, variables) for region in regions)


def _goes_along(region: Any, variables: Sequence[Any]) -> bool:
    """Return whether a region is one element whose indices are the variables in order, constants left out."""
    if not all(
        isinstance(bounds.extent, tirx.IntImm) and int(bounds.extent) == 1 for bounds in region.region
    ):
        return False
    indices = [bounds.min for bounds in region.region if not isinstance(bounds.min, tirx.IntImm)]
    return len(indices) == len(variables) and all(
        index.same_as(variable) for index, variable in zip(indices, variables, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Access:
    """How an anchor reads its operands.

    Attributes
    ----------
    dense
        Whether an operand does not depend on the last output axis.
    flat
        Whether all output axes but the last may be seen as one: that operand is read where the loops stand.
    weights_larger
        Whether the operand with the last axis has more elements than the other.
    """

    dense: bool
    flat: bool
    weights_larger: bool


def read_access(schedule: Any, anchor: Block) -> Access:
    """Return how an anchor reads its operands.

    Raises
    ------
    ValueError
        If it has no output axis.
    """
    node = schedule.get(anchor.handle)
    axes = [axis.var for axis in node.iter_vars]
    spatial = [axis for axis, reduces in zip(axes, anchor.reduces, strict=True) if not reduces]
    if not spatial:
        raise ValueError("everything is reduced to one number")
    weights = [read for read in node.reads if _depends(read, spatial[-1])]
    data = [read for read in node.reads if not _depends(read, spatial[-1])]
    others = [axis for axis in axes if not axis.same_as(spatial[-1])]
    return Access(
        dense=bool(data),
        flat=all(_goes_along(read, others) for read in data)
        and not any(_depends(read, axis) for read in weights for axis in spatial[:-1]),
        weights_larger=sum(map(_elements, weights)) > sum(map(_elements, data)),
    )


def _depends(read: Any, variable: Any) -> bool:
    return any(
        variable.same_as(used) for bounds in read.region for used in tirx.analysis.undefined_vars(bounds.min)
    )


def _elements(read: Any) -> int:
    return prod(int(extent) for extent in read.source.shape)
