"""When training ends. Decided on a fixed subset of the training photos, never on held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StoppedBy(StrEnum):
    MAX_ITERATIONS = "max_iterations"
    PLATEAU = "plateau"
    TARGET_PSNR = "target_psnr"


@dataclass(frozen=True)
class StoppingRules:
    """The job input's rules.

    Attributes:
        max_iterations: the budget.
        target_psnr: dB at which the model is good enough; None: no such end.
        patience: iterations without a gain after which no more is expected; None: no such end.
        min_gain: dB; less counts as no gain, it is within the noise of two tests.
        test_every: iterations between two tests.
    """

    max_iterations: int
    target_psnr: float | None
    patience: int | None
    min_gain: float = 0.05
    test_every: int = 100

    def is_test_due(self, iterations_done: int, at_full_resolution: bool) -> bool:
        """Whether the PSNR is to be tested now. A PSNR at a smaller size says little about the full one."""
        return at_full_resolution and iterations_done % self.test_every == 0


@dataclass(frozen=True)
class Plateau:
    """The best PSNR tested so far, and after how many iterations it was seen."""

    best_psnr: float = float("-inf")
    best_at: int = 0

    def after(self, iterations_done: int, psnr: float, min_gain: float) -> Plateau:
        if psnr >= self.best_psnr + min_gain:
            return Plateau(psnr, iterations_done)
        return self


def reason_to_stop(
    rules: StoppingRules, iterations_done: int, plateau: Plateau, tested_psnr: float | None
) -> StoppedBy | None:
    """Why training ends after `iterations_done` iterations, or None where it goes on.

    Args:
        plateau: already told of `tested_psnr`.
        tested_psnr: dB, over the fixed subset, where a test was due after this iteration.
    """
    if tested_psnr is not None:
        if rules.target_psnr is not None and tested_psnr >= rules.target_psnr:
            return StoppedBy.TARGET_PSNR
        if rules.patience is not None and iterations_done - plateau.best_at >= rules.patience:
            return StoppedBy.PLATEAU
    if iterations_done >= rules.max_iterations:
        return StoppedBy.MAX_ITERATIONS
    return None
