import numpy as np
import pytest

from spaceport_render.compositing import TILE_HEIGHT, TILE_WIDTH
from spaceport_render.numba_rasterizer import ALPHA_CUT, Splats, Viewpoint, draw

WIDTH, HEIGHT = 100, 70  # no multiples of a tile
ACROSS, DOWN = -(-WIDTH // TILE_WIDTH), -(-HEIGHT // TILE_HEIGHT)


@pytest.fixture(scope="module")
def drawing():
    """Balls, discs and needles of all sizes, turned every way, some of them off the image."""
    rng = np.random.default_rng(0)
    count = 400
    splats = Splats(
        means=rng.normal(size=(count, 3)).astype(np.float32) * np.float32([2, 2, 1]),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.exp(rng.normal(-3, 1.2, size=(count, 3))).astype(np.float32),
        opacities=rng.uniform(0.05, 1, count).astype(np.float32),
        sh_dc=np.zeros((count, 1, 3), np.float32),
        sh_rest=np.zeros((count, 0, 3), np.float32),
    )
    view = np.eye(4)
    view[2, 3] = 6
    lens = np.array([[90.0, 0, 48], [0, 95, 36], [0, 0, 1]])
    return draw(splats, Viewpoint.of(view, lens, WIDTH, HEIGHT), 0, np.zeros(3, np.float32))


def seen(footprint: np.void) -> np.ndarray:
    """(rows of all tiles, columns of all tiles): where the footprint's alpha is not below the cut."""
    y, x = np.mgrid[: DOWN * TILE_HEIGHT, : ACROSS * TILE_WIDTH] + 0.5
    dx, dy = x - footprint["x"], y - footprint["y"]
    distance = footprint["conic_xx"] * dx * dx + footprint["conic_yy"] * dy * dy
    distance += 2 * footprint["conic_xy"] * dx * dy
    return footprint["opacity"] * np.exp(-0.5 * distance) >= ALPHA_CUT


def test_footprints_are_paired_with_the_tiles_that_show_them(drawing):
    # Given where each footprint is seen, by looking at every pixel
    touches = drawing.touches
    touched = np.zeros((len(drawing.drawn), ACROSS * DOWN, TILE_HEIGHT), bool)
    for tile in range(ACROSS * DOWN):
        for pair in range(touches.tile_start[tile], touches.tile_start[tile + 1]):
            first, end = touches.rows[pair]
            assert first < end
            touched[touches.footprint[pair], tile, first:end] = True
    showing = np.stack(
        [
            seen(footprint).reshape(DOWN, TILE_HEIGHT, ACROSS, TILE_WIDTH).any(3).transpose(0, 2, 1)
            for footprint in drawing.footprints
        ]
    ).reshape(touched.shape)

    # Then no row that shows a footprint is missed …
    assert not (showing & ~touched).any()
    # … and few are looked at in vain: those in which an ellipse passes between the centres of pixels.
    assert touched.any(2).sum() < 1.1 * showing.any(2).sum()
    assert touched.sum() < 1.15 * showing.sum()


def test_pairs_of_a_tile_come_front_to_back(drawing):
    touches, depth = drawing.touches, drawing.footprints["depth"]
    for tile in range(ACROSS * DOWN):
        pairs = touches.footprint[touches.tile_start[tile] : touches.tile_start[tile + 1]]
        assert (np.diff(depth[pairs]) >= 0).all()


def test_slots_are_the_pairs_by_footprint(drawing):
    touches = drawing.touches
    by_slot = np.empty_like(touches.footprint)
    by_slot[touches.slot] = touches.footprint
    assert np.array_equal(np.repeat(np.arange(len(drawing.drawn)), np.diff(touches.footprint_start)), by_slot)
