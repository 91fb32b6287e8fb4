"""Dense seeds, on a made-up terrace whose depths are known, and on the real flight."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from spaceport_render.camera import Camera
from spaceport_sfm.seeding.dense_seeds import PosedPhotos, find_seeds
from spaceport_sfm.seeding.rectification import rectify
from spaceport_sfm.seeding.seed_fusion import Candidates, cross_checked, fused, thinned
from spaceport_sfm.seeding.stereo_matching import disparities
from spaceport_sfm.seeding.stereo_pairs import stereo_pairs

WIDTH, HEIGHT, FOCAL = 320, 240, 260.0
STEP = 3.0  # metres: the ground east of zero lies higher
TEXEL = 0.08  # metres


def camera_at(
    name: str, position: tuple[float, float, float], *, pitch: float = 90.0, heading: float = 0.0
) -> Camera:
    """A camera that looks `pitch` degrees below the horizon; at heading 0 a nadir photo's top is north."""
    p, h = np.radians([pitch, heading])
    forward = np.array([np.cos(p) * np.sin(h), np.cos(p) * np.cos(h), -np.sin(p)])
    right = np.array([np.cos(h), -np.sin(h), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = [right, np.cross(forward, right), forward]
    pose[:3, 3] = -pose[:3, :3] @ position
    return Camera(name, WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, pose)


def look(camera: Camera) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The photo (H, W, 3), and the depth (H, W) in metres of each pixel."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    rays = np.stack(
        [
            (columns + 0.5 - camera.cx) / camera.fx,
            (rows + 0.5 - camera.cy) / camera.fy,
            np.ones(rows.shape),
        ],
        axis=-1,
    )
    directions = rays @ camera.world_to_camera[:3, :3]
    up_there = (STEP - camera.position[2]) / directions[..., 2]
    down_here = (0.0 - camera.position[2]) / directions[..., 2]
    is_high = (camera.position[0] + up_there * directions[..., 0]) > 0
    depth = np.where(is_high, up_there, down_here)
    hit = camera.position + depth[..., None] * directions
    values = map_coordinates(
        _PATTERN, (hit[..., :2] / TEXEL + _PATTERN.shape[0] / 2).T, order=1, mode="wrap"
    ).T
    grey = np.round(values).astype(np.uint8)
    return np.stack([grey, grey, np.full_like(grey, 60)], axis=-1), depth


def terrace(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Random points (count, 3) of the terrace, within 12 m of the middle."""
    points = np.random.default_rng(seed).uniform(-12, 12, (count, 3))
    points[:, 2] = np.where(points[:, 0] > 0, STEP, 0.0)
    return points


def _pattern() -> NDArray[np.float64]:
    """Noise of several sizes, 20..235: something to match at any distance."""
    noise = np.random.default_rng(5).normal(size=(1024, 1024))
    mixed = sum(gaussian_filter(noise, size, mode="wrap") * size for size in (1.5, 3.0, 8.0))
    return np.clip(128 + 60 * mixed / mixed.std(), 20, 235)


_PATTERN = _pattern()


def posed(folder: Path, cameras: list[Camera], points: NDArray[np.float64]) -> PosedPhotos:
    """The cameras' photos on disk, with `points` seen by all that have them in the picture."""
    folder.mkdir()
    sees = []
    for camera in cameras:
        Image.fromarray(look(camera)[0]).save(folder / camera.name)
        seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        image = seen @ camera.intrinsics.T
        pixels = image[:, :2] / image[:, 2:]
        sees.append(((pixels >= 0) & (pixels < [camera.width, camera.height])).all(axis=1))
    return PosedPhotos(folder, tuple(cameras), points, csr_array(np.array(sees, dtype=np.int32)))


PAIRS = {
    "side by side": (camera_at("a", (0, 0, 30)), camera_at("b", (5, 0, 30))),
    "the other way": (camera_at("a", (5, 0, 30)), camera_at("b", (0, 0, 30))),
    "one ahead of the other": (camera_at("a", (0, 0, 30)), camera_at("b", (0.3, 5, 30.5))),
    "there and back": (camera_at("a", (0, 0, 30)), camera_at("b", (4, 2, 29), heading=180)),
    "oblique": (camera_at("a", (-8, -14, 24), pitch=60), camera_at("b", (-3, -15, 24), pitch=58, heading=-8)),
    "oblique and nadir": (camera_at("a", (0, 0, 30)), camera_at("b", (0, -6, 29), pitch=78)),
}


@pytest.mark.parametrize("case", PAIRS)
def test_depths_are_right_to_a_percent_whichever_way_the_drone_flew(case):
    # Given two photos of a terrace
    first, second = PAIRS[case]
    (first_photo, truth), (second_photo, _) = look(first), look(second)

    # When they are rectified, matched, and asked for depths
    rectification = rectify(first, second, terrace(300))
    found = disparities(rectification, first_photo[..., 0], second_photo[..., 0])
    rows, columns = np.mgrid[10 : HEIGHT - 10 : 4, 10 : WIDTH - 10 : 4]
    pixels = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
    depths = rectification.depths(found, pixels)

    # Then most of what both see is found, and right but for the edge, whose foot one of them doesn't see
    error = np.abs(depths / truth[rows.ravel(), columns.ravel()] - 1)
    assert np.isfinite(depths).mean() > 0.5
    assert np.nanmedian(error) < 0.004
    assert np.nanpercentile(error, 80) < 0.01


@pytest.mark.parametrize("case", PAIRS)
def test_a_point_is_in_one_row_of_both_rectified_photos_with_its_disparity(case):
    rectification = rectify(*PAIRS[case], terrace(300))

    places = []
    points = terrace(50, seed=1)
    for camera, turned in zip(PAIRS[case], rectification.homographies(), strict=True):
        seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        image = seen @ camera.intrinsics.T
        photo = np.column_stack([image[:, :2] / image[:, 2:] - 0.5, np.ones(len(image))])  # as OpenCV counts
        picture = photo @ np.linalg.inv(turned).T
        places.append(picture[:, :2] / picture[:, 2:])

    across, down = (places[0] - places[1]).T
    np.testing.assert_allclose(down, 0, atol=1e-6)
    depths = (points - rectification.first.position) @ rectification.rotation[2]
    total = rectification.focal * rectification.baseline / depths
    np.testing.assert_allclose(across, total - rectification.least, atol=1e-6)
    assert (across > 0).all()
    assert (across < rectification.disparities).all()


@pytest.mark.parametrize(
    "second",
    [
        camera_at("b", (0, 0, 30)),  # the same spot
        camera_at("b", (0, 0.1, 22)),  # right before the other
        camera_at("b", (0, -20, 5), pitch=-20),  # looks at the sky
        camera_at("b", (80, 0, 30)),  # shows other ground
    ],
)
def test_photos_that_cannot_be_laid_side_by_side_are_left_alone(second):
    assert rectify(camera_at("a", (0, 0, 30)), second, terrace(100)) is None


@pytest.fixture(scope="module")
def survey(tmp_path_factory) -> PosedPhotos:
    """Six photos, two of them oblique; SfM found nothing in the south."""
    cameras = [camera_at(f"{i}.png", (4.0 * (i % 2) - 2, 5.0 * (i // 2) - 4, 30)) for i in range(4)]
    cameras += [camera_at(f"{4 + i}.png", (4.0 * i - 2, -12, 27), pitch=68) for i in range(2)]
    points = terrace(900)
    return posed(tmp_path_factory.mktemp("survey") / "images", cameras, points[points[:, 1] > 0])


def test_seeds_lie_on_the_surface_where_sfm_has_no_points(survey):
    # When seeds are looked for
    told: list[float] = []
    seeds = find_seeds(survey, told.append)

    # Then the south is filled, on the ground or on the terrace
    x, y, z = seeds.points.T
    assert len(seeds) > 300
    has_points = (y > 0.5) & (y < 11.5) & (np.abs(x) < 11.5)
    assert has_points.mean() < 0.03
    assert ((y < 0) & (np.abs(x) < 12)).sum() > 300
    away_from_the_edge = np.abs(x) > 0.8
    height_error = np.abs(z - np.where(x > 0, STEP, 0.0))[away_from_the_edge]
    assert np.median(height_error) < 0.1
    assert np.percentile(height_error, 95) < 0.3
    # with the photos' colours
    assert (seeds.colors[:, 2] == 60).all()
    # each told by a photo and two or more of its partners
    assert (np.diff(seeds.starts) >= 3).all()
    assert seeds.photos == tuple(camera.name for camera in survey.cameras)
    assert ((seeds.confidence >= 0) & (seeds.confidence <= 1)).all()
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_same_photos_give_the_same_seeds(survey):
    first, second = find_seeds(survey), find_seeds(survey)

    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.tellers, second.tellers)


def test_a_photo_that_was_not_asked_could_have_been_missing(survey):
    """What held-out photos tell must not reach training: seeds without them are found without them."""
    # Given the seeds that photo 5 had no say in
    kept = find_seeds(survey).told_by({f"{i}.png" for i in range(5)})

    # When photo 5's file is replaced by noise
    noisy = replace(survey, folder=survey.folder.parent / "noisy")
    noisy.folder.mkdir(exist_ok=True)
    for camera in survey.cameras:
        picture = Image.open(survey.folder / camera.name)
        if camera.name == "5.png":
            pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels)
        picture.save(noisy.folder / camera.name)
    again = find_seeds(noisy)

    # Then each of them is among the candidates still
    assert len(kept) > 100
    distance, _ = cKDTree(again.points).query(kept.points)
    assert np.median(distance) == 0


@pytest.mark.parametrize("photos", [0, 1, 2])
def test_too_few_photos_or_points_give_no_seeds_and_no_error(survey, photos):
    few = replace(survey, cameras=survey.cameras[:photos], sees=survey.sees[:photos])

    assert len(find_seeds(few)) == 0


def test_without_points_there_are_no_seeds(survey):
    bare = replace(survey, points=np.empty((0, 3)), sees=csr_array((len(survey.cameras), 0), dtype=np.int32))

    assert len(find_seeds(bare)) == 0


def test_two_partners_must_agree_and_only_those_that_do_are_tellers():
    # Given three partners of one photo: two of one mind, except at the last pixel
    camera = camera_at("a", (0, 0, 30)).resized(4, 1)
    maps = {
        3: np.float32([[30.0, 30.0, np.nan, 25.0]]),
        5: np.float32([[30.3, 30.0, 30.0, 30.0]]),
        9: np.float32([[40.0, 30.0, 20.0, 35.0]]),
    }

    # When they are fused
    candidates = fused(0, camera, np.zeros((1, 4, 3), np.uint8), maps)

    # Then the first two pixels are kept
    assert candidates.tellers.tolist() == [[0, 3, 5, -1], [0, 3, 5, 9]]
    np.testing.assert_allclose(candidates.points[:, 2], [30 - 30.15, 0.0], atol=0.01)
    assert candidates.confidence[1] > candidates.confidence[0]


def test_a_photo_that_is_everybody_s_partner_takes_no_gigabytes():
    # Given a wide photo with 60 partners, of which all agree
    camera = camera_at("wide", (0, 0, 30)).resized(80, 60)
    maps = {partner: np.full((60, 80), 30.0, np.float32) for partner in range(1, 61)}

    tracemalloc.start()
    candidates = fused(0, camera, np.zeros((60, 80, 3), np.uint8), maps)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # Then it took a byte for each pixel and two partners, and not a number of eight
    assert len(candidates.points) == 80 * 60
    assert most < 4 * 60**2 * 80 * 60


def test_a_voxel_keeps_two_seeds_told_by_photos_as_different_as_can_be():
    # Given four candidates in one voxel and one in the next
    candidates = Candidates(
        points=np.array([[0.1, 0, 0], [0.2, 0, 0], [0.3, 0, 0], [0.4, 0, 0], [1.5, 0, 0]]),
        colors=np.zeros((5, 3), np.uint8),
        confidence=np.array([0.5, 0.9, 0.8, 0.4, 0.1]),
        tellers=np.array([[1, 2, 3], [1, 2, 4], [4, 1, 2], [5, 6, 4], [1, 2, 3]], np.int32),
    )

    kept = thinned(candidates, spacing=1.0)

    # Then the best stays, and the one that could replace it when photo 1 or 2 is held out
    assert kept.confidence.tolist() == [0.9, 0.4, 0.1]


def test_looking_back_must_confirm_a_depth():
    first, second = camera_at("a", (0, 0, 30)).resized(32, 24), camera_at("b", (2, 0, 30)).resized(32, 24)
    there, back = np.full((24, 32), 30.0, np.float32), np.full((24, 32), 30.0, np.float32)
    back[:, :16] = 20.0

    checked = cross_checked(first, there, second, back)

    # 2 m are 1.7 pixels at 30 m: what the second sees in its right half is confirmed
    assert np.isfinite(checked[:, 18:]).all()
    assert np.isnan(checked[:, :17]).all()


def test_partners_share_points_at_angles_that_suit():
    # Given a row of photos, 2° apart as seen from the points
    points = np.random.default_rng(0).uniform(-1, 1, (200, 3))
    positions = np.array([[30 * np.tan(np.radians(2 * i)), 0, 30] for i in range(12)])
    sees = csr_array(np.ones((12, 200), np.int32))

    pairs = stereo_pairs(positions, points, sees)

    # Then the first one's partners are those some 12° away
    assert [other for one, other in pairs if one == 0][:3] == [5, 6, 7]
    assert all(one < other for one, other in pairs)
    assert stereo_pairs(positions, points[:10], sees[:, :10]) == ()
