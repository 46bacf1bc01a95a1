"""The analysis of variance over a grid of trials, and the same by ranks."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deltann.compare.blocks import row_blocks
from deltann.compare.grid import Effect, Floats, Grid, orthonormal
from deltann.core.factorial import Source, Term

FLIPS = 1999
"""Draws of signs: the smallest p-value they can give is 1 in 2000."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Trials that were held against each other in the same units: laps of one board, or images.

    Attributes
    ----------
    cells
        Indices of the trials in the grid.
    values
        float64, (units, cells): the response; no unit lacks a trial.
    """

    cells: tuple[int, ...]
    values: Floats

    def centred(self) -> Floats:
        """Return the values less what all trials of the unit have in common, the stratum's mean put back."""
        own: Floats = self.values - self.values.mean(axis=1, keepdims=True) + self.values.mean()
        return own


def analyse_variance(grid: Grid, strata: Sequence[Stratum], seed: int, *, medians: bool) -> tuple[Term, ...]:
    """Return every row of the analysis: effects as the grid has them, then what is left over.

    Parameters
    ----------
    strata
        Each trial of the grid is in exactly one. Several strata are those of several boards or models.
    seed
        Of the signs that are drawn.
    medians
        Whether the share of the spread between the trials' medians says something: not for yes and no.

    Notes
    -----
    Sums of squares are of type II (Yates, 1934; Langsrud, Statistics and Computing 13, 2003): what an effect
    adds to all effects that do not contain it. Laps, or images, are blocks, in which every trial occurs, so
    they are orthogonal to all effects within them. What the trials differ by beyond the named effects is a
    row of its own, so that the residual is noise alone: the trials' scatter from unit to unit. A board, or a
    model, whose laps are its own is tested against the scatter of its laps, as the whole plots of a
    split-plot design are. Eta squared is the share of all squares; omega squared is
    (SS - df MS) / (SS_all + MS), MS being the mean square that the effect is tested against.

    The robust version needs no normal distribution, nor equal scatter of the trials: an effect's contrast in
    each unit, adjusted for the other effects (Freedman and Lane, 1983), has its length replaced by its rank,
    and the sum is held against sums with random signs of the units (spatial signed ranks: Möttönen and Oja,
    1995; sign flips of whole blocks: Winkler et al., NeuroImage 92, 2014). With one degree of freedom that is
    Wilcoxon's signed-rank test. The aligned rank transform is not used, as unequal scatter misleads it
    (Tsandilas and Casiez, 2024). What has laps of its own gets the test of Kruskal and Wallis.
    """
    return tuple(_Analysis(grid, strata, seed, medians=medians).rows())


class _Analysis:
    def __init__(self, grid: Grid, strata: Sequence[Stratum], seed: int, *, medians: bool) -> None:
        self._grid, self._strata, self._seed = grid, strata, seed
        cells = len(grid.cells)
        self._weights, means, self._medians = np.empty(cells), np.empty(cells), np.empty(cells)
        for stratum in strata:
            own = list(stratum.cells)
            self._weights[own] = len(stratum.values) ** 0.5
            means[own] = stratum.values.mean(axis=0)
            self._medians[own] = np.median(stratum.centred(), axis=0)
        self._means = self._weights * means
        self._show_medians = medians
        stratum_of = np.empty(cells, np.intp)
        for index, stratum in enumerate(strata):
            stratum_of[list(stratum.cells)] = index
        self._stratum_of = stratum_of
        grand = sum(float(s.values.sum()) for s in strata) / sum(s.values.size for s in strata)
        self._total = sum(float(((s.values - grand) ** 2).sum()) for s in strata)
        # A block's mean stands for all its trials, so its squares count once for each of them.
        self._units = (
            sum(len(s.values) - 1 for s in strata),
            sum(float(s.values.mean(axis=1).var()) * s.values.size for s in strata),
        )
        self._noise = (
            sum((len(s.values) - 1) * (s.values.shape[1] - 1) for s in strata),
            sum(float(((s.centred() - s.values.mean(axis=0)) ** 2).sum()) for s in strata),
        )

    def rows(self) -> Iterator[Term]:
        of_medians = self._medians - self._medians.mean()
        spread = float(of_medians @ of_medians)
        found = [self._term(effect, spread) for effect in self._grid.effects]
        yield from self._with_robust_p(found)
        basis = self._basis(self._grid.effects)
        left = self._means - basis @ (basis.T @ self._means)
        df = len(self._means) - basis.shape[1]
        if df:
            higher = Term(Source.HIGHER, (), None, df, float(left @ left), self._share(float(left @ left)))
            yield self._tested(higher, self._noise)
        for source, (freedom, squares) in ((Source.UNITS, self._units), (Source.RESIDUAL, self._noise)):
            yield Term(source, (), None, freedom, squares, self._share(squares))

    def _basis(self, effects: Sequence[Effect]) -> Floats:
        one = self._weights[:, None] / np.linalg.norm(self._weights)
        columns = [effect.columns * self._weights[:, None] for effect in effects]
        return np.hstack([one, orthonormal(np.hstack(columns), one)]) if columns else one

    def _contrast(self, effect: Effect) -> tuple[Floats, Floats]:
        """Return the basis of an effect, adjusted for the others, and what of the means those explain."""
        others = self._basis(self._grid.beside(effect))
        own = orthonormal(effect.columns * self._weights[:, None], others)
        return own, others @ (others.T @ self._means)

    def _term(self, effect: Effect, spread: float) -> Term:
        own, _ = self._contrast(effect)
        parts = own.T @ self._means
        squares = float(parts @ parts)
        source = Source.MAIN if len(effect.factors) == 1 else Source.INTERACTION
        robust = None
        if self._show_medians and spread > 0:
            robust = self._share_of_medians(effect, spread)
        df = effect.columns.shape[1]
        term = Term(
            source, effect.factors, effect.within, df, squares, self._share(squares), robust_share=robust
        )
        return self._tested(term, self._units if self._is_whole_plot(effect) else self._noise)

    def _share_of_medians(self, effect: Effect, spread: float) -> float:
        # Every trial counts alike here, however many laps its board has.
        one = np.full((len(self._medians), 1), len(self._medians) ** -0.5)
        columns = [other.columns for other in self._grid.beside(effect)]
        others = np.hstack([one, orthonormal(np.hstack(columns), one)]) if columns else one
        parts = orthonormal(effect.columns, others).T @ self._medians
        return float(parts @ parts) / spread

    def _is_whole_plot(self, effect: Effect) -> bool:
        """Return whether the effect lies between strata alone: a board, or a model, with units of its own."""
        first = np.array([stratum.cells[0] for stratum in self._strata])
        constant = np.array_equal(effect.columns, effect.columns[first[self._stratum_of]])
        return len(self._strata) > 1 and constant

    def _share(self, squares: float) -> float:
        return squares / self._total if self._total > 0 else 0.0

    def _tested(self, term: Term, error: tuple[int, float]) -> Term:
        """Return a term with F, its p-value and omega squared; without them where there is no error."""
        freedom, squares = error
        if freedom <= 0 or squares <= 0:
            return term
        from scipy.stats import f as f_distribution

        mean_square = squares / freedom
        f = term.sum_squares / term.df / mean_square
        omega = (term.sum_squares - term.df * mean_square) / (self._total + mean_square)
        return replace(term, f=f, p_value=float(f_distribution.sf(f, term.df, freedom)), omega_sq=omega)

    def _with_robust_p(self, terms: Sequence[Term]) -> Iterator[Term]:
        effects = self._grid.effects
        within = [self._unit_contrasts(effect) for effect in effects if not self._is_whole_plot(effect)]
        p_values = iter(sign_flip(within, self._seed))
        for effect, term in zip(effects, terms, strict=True):
            p = self._kruskal(effect) if self._is_whole_plot(effect) else next(p_values)
            yield replace(term, robust_p=p)

    def _unit_contrasts(self, effect: Effect) -> Floats:
        """Return an effect's contrast in each unit, the other effects taken away: (units, df)."""
        own, fitted = self._contrast(effect)
        parts = []
        for stratum in self._strata:
            cells = list(stratum.cells)
            scale = self._weights[cells]
            left = stratum.values - fitted[cells] / scale
            left -= left.mean(axis=1, keepdims=True)  # a lap's own level says nothing of an effect within it
            parts.append((left / scale) @ own[cells])
        return np.vstack(parts)

    def _kruskal(self, effect: Effect) -> float | None:
        from scipy.stats import kruskal

        _, fitted = self._contrast(effect)
        levels: dict[tuple[str | None, ...], list[Floats]] = defaultdict(list)
        for stratum in self._strata:
            cells = list(stratum.cells)
            values = tuple(self._grid.cells[cells[0]].get(name) for name in effect.factors)
            levels[values].append((stratum.values - fitted[cells] / self._weights[cells]).mean(axis=1))
        groups = [np.concatenate(parts) for parts in levels.values()]
        if np.ptp(np.concatenate(groups)) == 0:
            return None
        return float(kruskal(*groups).pvalue)


def sign_flip(contrasts: Sequence[Floats], seed: int) -> list[float | None]:
    """Return the p-value of each effect by random signs of its units; None where no unit says anything.

    Parameters
    ----------
    contrasts
        Of each effect: float64, (units, df), the same units for all.
    """
    ranked = [_by_rank(contrast) for contrast in contrasts]
    if not ranked:
        return []
    units = len(ranked[0])
    sums = np.empty((FLIPS, sum(part.shape[1] for part in ranked)))
    together = np.hstack(ranked).astype(np.float32)
    random = np.random.default_rng(seed)
    for block in row_blocks(FLIPS, units):
        signs = random.integers(0, 2, (block.stop - block.start, units), np.int8).astype(np.float32)
        sums[block] = (2 * signs - 1) @ together
    p_values: list[float | None] = []
    first = 0
    for part in ranked:
        drawn = (sums[:, first : first + part.shape[1]] ** 2).sum(axis=1)
        first += part.shape[1]
        seen = float((part.sum(axis=0) ** 2).sum())
        # What rounding makes of an equal sum counts as one.
        reached = int((drawn >= seen * (1 - 1e-6)).sum())
        p_values.append((1 + reached) / (1 + FLIPS) if part.any() else None)
    return p_values


def _by_rank(contrast: Floats) -> Floats:
    """Return directions as long as the rank of their length; what is 0 stays so, as Wilcoxon has it."""
    from scipy.stats import rankdata

    lengths = np.linalg.norm(contrast, axis=1)
    moved = lengths > 1e-12 * max(float(lengths.max(initial=0.0)), 1e-300)
    ranks = np.zeros(len(lengths))
    ranks[moved] = np.asarray(rankdata(lengths[moved])) / max(int(moved.sum()), 1)
    scale = np.divide(ranks, lengths, out=np.zeros_like(ranks), where=moved)
    ranked: Floats = contrast * scale[:, None]
    return ranked
