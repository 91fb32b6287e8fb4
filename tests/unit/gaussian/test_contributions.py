"""How much of the photos each Gaussian paints."""

from __future__ import annotations

import pytest
import torch
from overhead import HEIGHT, WIDTH, above, balls

from spaceport_gaussian.contributions import blend, contributions

VIEWS = [above(0, 0), above(3, 1), above(-2, -1)]
ONES = torch.ones(HEIGHT, WIDTH, 3)


@pytest.fixture
def splat():
    random = torch.Generator().manual_seed(1)
    places = torch.rand(60, 3, generator=random) * torch.tensor([16.0, 10.0, 1.0]) - torch.tensor(
        [8.0, 5.0, 0.5]
    )
    return balls(places, 0.3 + torch.rand(60, generator=random), 0.1 + 0.8 * torch.rand(60, generator=random))


def test_a_gaussian_gives_what_its_colour_changes(splat):
    weights = blend(splat, VIEWS[0], ONES).weights[:, 0]

    for index in (0, 17, 41):
        brighter = splat.sh_dc.detach().clone()
        brighter[index] += 1.0
        before, splat.sh_dc = splat.sh_dc, brighter
        with torch.no_grad():
            changed = splat.render(VIEWS[0]).image[..., 0].double().sum()
            splat.sh_dc = before
            unchanged = splat.render(VIEWS[0]).image[..., 0].double().sum()
        assert weights[index].item() == pytest.approx((changed - unchanged).item() / 0.28209479, rel=1e-3)


def test_together_they_cover_what_is_covered(splat):
    weights = contributions(splat, VIEWS).weights

    with torch.no_grad():
        covered = sum(splat.render(view).alpha.sum() for view in VIEWS)
    assert weights.sum().item() == pytest.approx(covered.item(), rel=1e-4)


def test_each_mask_counts_its_own_pixels(splat):
    masks = torch.zeros(HEIGHT, WIDTH, 3)
    masks[:, : WIDTH // 2, 0] = 1
    masks[:, WIDTH // 2 :, 1] = 1
    masks[..., 2] = 0.5

    left, right, half = blend(splat, VIEWS[0], masks).weights.unbind(dim=1)

    torch.testing.assert_close(left + right, 2 * half)
    assert left[splat.means[:, 0] < -4].min() > 0 == right[splat.means[:, 0] < -4].max()


def test_colours_play_no_part_and_nothing_is_left_behind(splat):
    before = contributions(splat, VIEWS).weights
    with torch.no_grad():
        splat.sh_dc.fill_(-9.0)  # black: cut off at 0, where colours have no gradient any more
        splat.sh_rest.fill_(0.3)

    after = contributions(splat, VIEWS).weights

    assert torch.equal(before, after)
    assert all(tensor.grad is None for tensor in splat.tensors.values())


def test_what_lies_hidden_is_shown_but_paints_nothing():
    # Given a small Gaussian under five opaque ones, and one where no camera looks
    splat = balls(
        [[0, 0, -2], [500, 0, 0], *([0, 0, height] for height in range(5))], [0.2, *[3.0] * 6], 0.99
    )

    seen = contributions(splat, VIEWS)

    assert seen.views.tolist() == [3, 0, 3, 3, 3, 3, 3]
    assert seen.weights[0] < 1e-3
    assert seen.weights[-1] > 100
    assert seen.weights[1] == 0
