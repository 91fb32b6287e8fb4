"""Which Gaussians go because they matter least."""

from __future__ import annotations

import pytest
import torch
from overhead import above, balls, photo_of, situation_of

from spaceport_gaussian.contributions import contributions
from spaceport_gaussian.policies.significance_pruning import SignificancePruning, normalised_volume

VIEWS = [above(0, 0), above(2, 1), above(-2, -1)]


@pytest.fixture
def splat():
    random = torch.Generator().manual_seed(4)
    places = (torch.rand(100, 3, generator=random) - 0.5) * torch.tensor([18.0, 12.0, 1.0])
    return balls(
        places, 0.2 + torch.rand(100, generator=random), 0.1 + 0.8 * torch.rand(100, generator=random)
    )


def gone_from(splat, policy) -> set[int]:
    edit = policy.edit(situation_of(splat, [photo_of(splat, view) for view in VIEWS]))
    assert not any(len(born) for born in edit.born.values())
    return set(range(len(splat))) - set(edit.survivors.tolist())


def test_the_share_of_least_significance_goes(splat):
    gone = gone_from(splat, SignificancePruning(share=0.3))

    # by the papers' words: blend weights × (volume over that of the 90th percentile, at most 1) ^ β
    volumes = splat.scales.detach().prod(dim=1)
    shares = (volumes / volumes.sort().values[89]).clamp(max=1.0)
    significance = contributions(splat, VIEWS).weights * shares**0.1
    assert gone == set(significance.argsort()[:30].tolist())


def test_the_photos_hardly_change(splat):
    optimised = SignificancePruning(share=0.2)
    survivors = sorted(set(range(len(splat))) - gone_from(splat, optimised))
    kept = balls(
        splat.means.detach()[survivors],
        splat.scales.detach()[survivors, 0],
        splat.opacities.detach()[survivors],
    )
    # Others, as many, taken away at random
    some = (
        torch.randperm(len(splat), generator=torch.Generator().manual_seed(0))[: len(survivors)].sort().values
    )
    other = balls(splat.means.detach()[some], splat.scales.detach()[some, 0], splat.opacities.detach()[some])

    def change(model):
        with torch.no_grad():
            return sum(float((model.render(v).image - splat.render(v).image).abs().mean()) for v in VIEWS)

    assert change(kept) < 0.3 * change(other)


def test_what_paints_nothing_goes_and_what_no_photo_shows_stays():
    # Given a Gaussian under opaque ones, and one beyond the photos' edges
    cover = [[0.0, 0.0, z / 4] for z in range(12)]
    splat = balls([[0.0, 0.0, -3.0], [300.0, 0.0, 0.0], *cover], [0.2, 0.2, *[3.0] * 12], 0.999)
    assert contributions(splat, VIEWS).weights[:2].tolist() == [0.0, 0.0]

    gone = gone_from(splat, SignificancePruning(share=0.0))

    assert 0 in gone
    assert 1 not in gone


def test_it_prunes_at_its_moments_and_at_no_other_time():
    policy = SignificancePruning(moments=(0.5, 0.8))

    assert [done for done in range(1, 1501) if policy.is_due(done, 1500)] == [750, 1200]
    assert [done for done in range(1, 51) if policy.is_due(done, 50)] == [25, 40]


def test_the_volume_is_taken_relative_to_the_large_ones():
    splat = balls(torch.zeros(10, 3), torch.arange(1.0, 11.0))

    volumes = normalised_volume(splat.log_scales)

    torch.testing.assert_close(volumes, (torch.arange(1.0, 11.0) / 9).clamp(max=1.0) ** 3)
