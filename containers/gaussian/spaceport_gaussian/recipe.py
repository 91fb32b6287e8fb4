"""All policies of one training run, chosen from the job's tuning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from spaceport.tuning import Densify, Resolution, Tuning
from spaceport_gaussian.losses import OutlierWeights, PhotometricLoss
from spaceport_gaussian.optimisation import LearningRates
from spaceport_gaussian.policies.adaptive_density_control import AdaptiveDensityControl, OpacityReset
from spaceport_gaussian.policies.averaging import WeightAveraging
from spaceport_gaussian.policies.blur import ProgressiveBlur
from spaceport_gaussian.policies.budget import EDITS
from spaceport_gaussian.policies.budgeted_densification import BudgetedDensification
from spaceport_gaussian.policies.consistent_densification import ConsistentDensification
from spaceport_gaussian.policies.dropout import GaussianDropout
from spaceport_gaussian.policies.exposure import ExposureCompensation
from spaceport_gaussian.policies.harmonics import DegreeByViews, HarmonicsRamp
from spaceport_gaussian.policies.opacity_decay import OpacityDecay
from spaceport_gaussian.policies.photo_corrections import PhotoCorrection
from spaceport_gaussian.policies.point_support import PointSupport, Support
from spaceport_gaussian.policies.policy import Adjustment, Densification, SplatEdit
from spaceport_gaussian.policies.pose_refinement import PoseRefinement
from spaceport_gaussian.policies.regularisation import Regularisation
from spaceport_gaussian.policies.relocation import PositionNoise, Relocation
from spaceport_gaussian.policies.resolution import (
    FrequencyContent,
    ResolutionSchedule,
    constant_resolution,
    progressive_resolution,
)
from spaceport_gaussian.policies.sh_masks import BandMasks
from spaceport_gaussian.policies.significance_pruning import SignificancePruning
from spaceport_gaussian.policies.size_limit import SizeLimit
from spaceport_gaussian.policies.stopping import StoppingRules
from spaceport_gaussian.seeding.gaps import GapSeeding
from spaceport_gaussian.seeding.surround import Surround
from spaceport_render.holdout import fixed_subset
from spaceport_render.scene import Scene, View


@dataclass(frozen=True)
class Recipe:
    """How to train: one policy for each question. Schedules are shares of `stopping.max_iterations`.

    Attributes:
        frequency: what `resolution` is replaced by once the photos are known, see `fitted_to`.
        blur: None: photos are as sharp as they are.
        max_gaussians: there are never more.
        densification: None: the first Gaussians are all there ever are.
        point_support: what densification prefers; None: what is pulled hardest, wherever it is.
        support: of the scene at hand, see `fitted_to`.
        pruning: take Gaussians away; each acts after densification.
        adjustments: act after the edits, in their order.
        dense_share: of the Gaussians' budget, how many dense seeds a run may start with; None uses none.
        seeding: fills what then is empty still in the photos; None leaves it.
        surround: continues the ground beyond them; None ends it there.
        antialiased: draw with Mip-Splatting's 2D filter, see `rasterize`.
        corrections: what each training photo is explained by beside the splat.
        averaging: None: the last splat is delivered as it is.
    """

    resolution: ResolutionSchedule
    harmonics: HarmonicsRamp
    rates: LearningRates
    loss: PhotometricLoss
    regularisation: Regularisation
    stopping: StoppingRules
    max_gaussians: int
    frequency: FrequencyContent | None = None
    blur: ProgressiveBlur | None = None
    densification: Densification | None = None
    point_support: PointSupport | None = None
    support: Support | None = field(default=None, repr=False, compare=False)
    pruning: tuple[SplatEdit, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    dense_share: float | None = None
    seeding: GapSeeding | None = None
    surround: Surround | None = None
    initial_opacity: float = 0.1  # Kerbl et al. 2023
    antialiased: bool = False
    dropout: GaussianDropout | None = None
    corrections: tuple[PhotoCorrection, ...] = ()
    averaging: WeightAveraging | None = None

    def blur_at(self, progress: float) -> float:
        """Of the photos, as `PhotoPyramid.at` takes it, when the share `progress` of the budget is spent."""
        return 0.0 if self.blur is None else self.blur.sigma_at(progress)

    def shows_all(self, iteration: int) -> bool:
        """Whether the photos are of full size and sharp in iteration `iteration` (from 0)."""
        progress = iteration / self.stopping.max_iterations
        return self.resolution.is_full(iteration) and not self.blur_at(progress)

    def fitted_to(self, views: Sequence[View], points: NDArray[np.float32]) -> Recipe:
        """The same for a scene: `views` are those to train on, `points` (P, 3) SfM's.

        Where a frequency is asked for, the schedule is by the spectrum of the views. The means' rate is held
        until full size then, as DashGaussian does: what is small in the photo can't be put in its place
        before.
        """
        support = None if self.point_support is None else self.point_support.of(points)
        recipe = replace(self, support=support)
        if self.frequency is None:
            return recipe
        iterations = self.stopping.max_iterations
        # The photos of a flight are much alike.
        resolution = self.frequency.schedule([view.pixels for view in fixed_subset(views)], iterations)
        hold = resolution.switches[-1] / iterations if resolution.switches else 0.0
        return replace(recipe, resolution=resolution, rates=replace(self.rates, hold=hold))

    def slower(self, share: float) -> Recipe:
        """The same, with means that move at `share` of their rate."""
        return replace(self, rates=replace(self.rates, means=share * self.rates.means))


# Few enough to leave densification its room: with 0.25 renders have less detail, held-out PSNR is the same
# (docs/training.md).
DENSE_SHARE = 0.15

# How many Gaussians a scene supports: so many for each point that SfM found, in photos of so many pixels
# on the longer side; and as many more as these are larger. Held-out PSNR, `preview` (docs/training.md):
# brighton (7,461 points) 17.4 dB with 25,000 and 17.2 with 40,000; the demo flight (23,954 points) 24.5 dB
# with 25,000 and 26.0 with 50,000. In photos of 1024 pixels (docs/ablation.md): brighton 17.6 dB with 50,000
# and 17.2 with 113,000; the demo flight of 60 (78,780 points) 26.4 dB with 100,000 and 27.7 with 198,000.
GAUSSIANS_PER_POINT = 3.4
AT_SIZE = 480
# Gaussians that few photos hold to account are dropped at random (docs/ablation.md). `preview`, fifth photos
# held out, dB / SSIM / detail without and with: brighton, where 6 photos show a point, 18.09 / .427 / .36 and
# 18.56 / .428 / .29; the demo flight of 20, where 13 do, 26.70 / .821 / .75 and (by 0.1) 26.64 / .802 / .67.
FEW_VIEWS = 8
FEW_VIEWS_DROPOUT = 0.2
LEAST_BUDGET = 10_000  # SfM is blind on water and canopy: a scene of those has few points, but much to show


def gaussian_budget(tuning: Tuning, points: int) -> int:
    """As many Gaussians as `points` SfM points in photos of the tuning's size support, at most its maximum.

    More would fit the training photos better and views between them worse. The plain recipe has no such
    rule: it takes the maximum.
    """
    if not tuning.optimization_enabled:
        return tuning.max_gaussians
    size = tuning.train_max_size / AT_SIZE
    return min(tuning.max_gaussians, max(LEAST_BUDGET, round(GAUSSIANS_PER_POINT * size * points)))


def settled(tuning: Tuning, scene: Scene) -> Tuning:
    """`tuning` with what it leaves to the scene."""
    if tuning.dropout is not None:
        return tuning
    is_few = len(scene.points) > 0 and median_views(scene) < FEW_VIEWS
    return tuning.model_copy(update={"dropout": FEW_VIEWS_DROPOUT if is_few else 0.0})


def median_views(scene: Scene) -> float:
    """How many photos show a point of the scene, in the median."""
    return float(np.median(sum(view.camera.sees(scene.points).astype(int) for view in scene.views)))


def recipe_for(tuning: Tuning, max_gaussians: int, batch: int = 1) -> Recipe:
    """The recipe that `tuning` asks for.

    Args:
        max_gaussians: the scene's budget, or fewer where the device has no room for them.
        batch: photos an iteration. The tuning's iterations are of one photo each: there are fewer of them.
    """
    if batch > 1:
        counts = {
            name: ceil(getattr(tuning, name) / batch) for name in ("max_iterations", "plateau_patience")
        }
        recipe = recipe_for(tuning.model_copy(update=counts), max_gaussians)
        return replace(recipe, rates=recipe.rates.for_batches_of(batch))
    return (
        optimised_recipe(tuning, max_gaussians)
        if tuning.optimization_enabled
        else plain_recipe(tuning, max_gaussians)
    )


def plain_recipe(tuning: Tuning, max_gaussians: int) -> Recipe:
    """3DGS as published (Kerbl et al. 2023): full size, no early end, no regularisation; the baseline."""
    return Recipe(
        resolution=constant_resolution(),
        harmonics=HarmonicsRamp(tuning.sh_degree, every=1 / 30),
        rates=LearningRates(),
        loss=PhotometricLoss(),
        regularisation=Regularisation(),
        stopping=StoppingRules(tuning.max_iterations, target_psnr=None, patience=None),
        max_gaussians=max_gaussians,
        densification=AdaptiveDensityControl(max_gaussians),
        adjustments=(OpacityReset(),),
    )


def optimised_recipe(tuning: Tuning, max_gaussians: int) -> Recipe:
    """Ours: few, regularised Gaussians on a budget, coarse to fine, and no longer than it helps."""
    return Recipe(
        resolution=(
            progressive_resolution(tuning.max_iterations)
            if tuning.progressive_resolution
            else constant_resolution()
        ),
        frequency=(
            FrequencyContent()
            if tuning.progressive_resolution and tuning.resolution is Resolution.FREQUENCY
            else None
        ),
        blur=ProgressiveBlur() if tuning.progressive_blur else None,
        harmonics=HarmonicsRamp(tuning.sh_degree, every=0.2),
        rates=LearningRates(sh_every=tuning.sh_every),
        max_gaussians=max_gaussians,
        densification=densification_for(tuning.densify, max_gaussians),
        point_support=PointSupport() if tuning.point_support else None,
        pruning=(SignificancePruning(),) if tuning.prune_insignificant else (),
        loss=PhotometricLoss(
            mse_weight=tuning.mse_weight, outliers=OutlierWeights() if tuning.robust else None
        ),
        regularisation=Regularisation(
            opacity=tuning.opacity_weight,
            scale=tuning.scale_weight,
            anisotropy=tuning.anisotropy_weight,
            harmonics=tuning.sh_weight,
            transparency=tuning.transparency_weight,
        ),
        stopping=StoppingRules(
            tuning.max_iterations,
            target_psnr=tuning.target_psnr if tuning.psnr_plateau_termination else None,
            patience=tuning.plateau_patience if tuning.psnr_plateau_termination else None,
        ),
        adjustments=tuple(adjustments_for(tuning)),
        dense_share=DENSE_SHARE if tuning.dense_seeds else None,
        seeding=GapSeeding() if tuning.gap_seeds else None,
        surround=Surround() if tuning.surround else None,
        initial_opacity=0.5,  # Kheradmand et al. 2024: seeds cover the photos, little lies behind them
        antialiased=tuning.antialiased,
        dropout=GaussianDropout(tuning.dropout, tuning.seed) if tuning.dropout else None,
        corrections=tuple(corrections_for(tuning)),
        averaging=WeightAveraging() if tuning.averaging else None,
    )


def densification_for(densify: Densify, max_gaussians: int) -> Densification | None:
    """The policy of that name, with the optimised recipe's cadence."""
    match densify:
        case Densify.BUDGET:
            return BudgetedDensification(max_gaussians)
        case Densify.CONSISTENT:
            return ConsistentDensification(max_gaussians)
        case Densify.RELOCATE:
            return Relocation(max_gaussians)
        case Densify.GRADIENT:
            return AdaptiveDensityControl(max_gaussians, EDITS)
        case Densify.NONE:
            return None


def adjustments_for(tuning: Tuning) -> Iterator[Adjustment]:
    """What the tuning asks for, in the order in which they act."""
    if tuning.position_noise:
        yield PositionNoise(tuning.position_noise)
    if tuning.opacity_decay:
        yield OpacityDecay()
    if tuning.sh_by_views:
        yield DegreeByViews()
    if tuning.sh_masks:
        yield BandMasks()
    if tuning.limit_size:
        yield SizeLimit()


def corrections_for(tuning: Tuning) -> Iterator[PhotoCorrection]:
    """What the tuning asks for."""
    if tuning.exposure:
        yield ExposureCompensation()
    if tuning.pose_refinement:
        yield PoseRefinement()
