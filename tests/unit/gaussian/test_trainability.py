"""Scenes that can't be learnt end in words; odd ones are learnt. From the files on, as a job meets them."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dense_folder import write_dense

from spaceport.errors import UserError
from spaceport.quality import TrainingReport
from spaceport.stop_signal import StopSignal
from spaceport.tuning import Tuning
from spaceport_gaussian.finite import is_finite
from spaceport_gaussian.job import MODEL, Folders, run_job
from spaceport_gaussian.trainability import check_trainable, shared_points
from spaceport_render.ply import read_ply
from spaceport_render.scene import Scene, View

TUNING = Tuning(max_iterations=30, train_max_size=96, max_gaussians=900, sh_degree=1, holdout=0, seed=5)


def trained(scene: Scene, folder: Path, tuning: Tuning = TUNING) -> TrainingReport:
    (folder / "scene").mkdir()
    folders = Folders(write_dense(scene, folder / "scene"), folder / "model", folder / "checkpoints")
    ignore = lambda *_, **__: None  # noqa: E731
    return run_job(folders, tuning, ignore, device=torch.device("cpu"), stop=StopSignal())


def with_cameras(scene: Scene, change: Callable[[int, np.ndarray], None]) -> Scene:
    """`scene` with each camera's position, an array, as `change(index, position)` leaves it."""
    views = []
    for index, view in enumerate(scene.views):
        position = view.camera.position.copy()
        change(index, position)
        camera = dataclasses.replace(view.camera, world_to_camera=view.camera.world_to_camera.copy())
        camera.world_to_camera[:3, 3] = -camera.world_to_camera[:3, :3] @ position
        views.append(dataclasses.replace(view, camera=camera))
    return dataclasses.replace(scene, views=tuple(views))


def disjoint(scene: Scene) -> Scene:
    """Each photo shows ground of its own, a kilometre from the next."""

    def apart(index: int, position: np.ndarray) -> None:
        position[:2] = 1_000.0 * index, 0.0

    points = np.concatenate([scene.points[:40] + np.float32([1_000 * index, 0, 0]) for index in range(9)])
    colors = np.tile(scene.colors[:40], (9, 1))
    return dataclasses.replace(with_cameras(scene, apart), points=points, colors=colors)


def points_behind(scene: Scene) -> Scene:
    return dataclasses.replace(scene, points=scene.points + np.float32([0, 0, 60]))


def one_position(scene: Scene) -> Scene:
    def to_middle(_: int, position: np.ndarray) -> None:
        position[:] = 0.0, 0.0, 20.0

    return with_cameras(scene, to_middle)


def one_position_and_one_point(scene: Scene) -> Scene:
    """An extent of nothing but the cameras' height."""
    return dataclasses.replace(one_position(scene), points=np.zeros_like(scene.points))


def far_from_the_origin(scene: Scene) -> Scene:
    """As a frame of projected coordinates (UTM) would have it."""

    def far(_: int, position: np.ndarray) -> None:
        position[0] += 1e6

    return dataclasses.replace(with_cameras(scene, far), points=scene.points + np.float32([1e6, 0, 0]))


def points_far_away(scene: Scene) -> Scene:
    """All points 1,000 km below the cameras."""
    return dataclasses.replace(scene, points=scene.points * np.float32(5e4) - np.float32([0, 0, 1e6]))


def forty_nine_points(scene: Scene) -> Scene:
    seen_by_all = [index for index, point in enumerate(scene.points) if np.abs(point[:2]).max() < 7][:49]
    return dataclasses.replace(scene, points=scene.points[seen_by_all], colors=scene.colors[seen_by_all])


def no_points(scene: Scene) -> Scene:
    return dataclasses.replace(scene, points=scene.points[:0], colors=scene.colors[:0])


def resized(scene: Scene, width: int, height: int) -> Scene:
    views = [
        View(view.camera.resized(width, height), np.ascontiguousarray(view.pixels[:height, :width]))
        for view in scene.views
    ]
    return dataclasses.replace(scene, views=tuple(views))


def one_pixel(scene: Scene) -> Scene:
    return resized(scene, 1, 1)


def a_strip(scene: Scene) -> Scene:
    return resized(scene, 96, 8)


def two_photos(scene: Scene) -> Scene:
    return dataclasses.replace(scene, views=scene.views[3:5])


@pytest.mark.parametrize(
    ("spoilt", "code", "words"),
    [
        (disjoint, "too_few_points", "share only 0 points"),
        (points_behind, "too_few_points", "share only 0 points"),
        (forty_nine_points, "too_few_points", "share only 49 points"),
        (no_points, "too_few_points", "share only 0 points"),
        (one_position, "no_parallax", "from one spot"),
        (one_position_and_one_point, "no_parallax", "from one spot"),
        (points_far_away, "no_parallax", "is 1.15e\\+06 m away"),
        (far_from_the_origin, "bad_scene", "lies 1,000 km from the origin"),
        (one_pixel, "photos_too_small", "has 1 × 1 pixels"),
        (a_strip, "photos_too_small", "has 96 × 8 pixels"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_scene_that_cannot_be_learnt_is_refused_in_words(spoilt, code, words, survey, tmp_path):
    with pytest.raises(UserError, match=words) as refused:
        trained(spoilt(survey), tmp_path)

    assert refused.value.code == code
    assert refused.value.hint
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("of", "holdout", "left"), [(two_photos, 2, 1), (two_photos, 3, 1)], ids=["every 2nd", "every 3rd"]
)
def test_held_out_photos_must_leave_two(of, holdout, left, survey, tmp_path):
    with pytest.raises(UserError, match=f"only {left} of 2 can be used") as refused:
        trained(of(survey), tmp_path, TUNING.model_copy(update={"holdout": holdout}))

    assert refused.value.code == "too_few_photos"


def test_positions_that_are_no_numbers_are_refused(survey):
    points = survey.points.copy()
    points[3] = math.nan

    with pytest.raises(UserError, match="no numbers") as refused:
        check_trainable(dataclasses.replace(survey, points=points), survey.views)

    assert refused.value.code == "bad_scene"


def one_colour(scene: Scene) -> Scene:
    """Fog: nothing to see in any photo."""
    views = [dataclasses.replace(view, pixels=np.full_like(view.pixels, 128)) for view in scene.views]
    return dataclasses.replace(scene, views=tuple(views))


def one_point_far_off(scene: Scene) -> Scene:
    points = scene.points.copy()
    points[0] = 1e6, 1e6, -1e6
    return dataclasses.replace(scene, points=points)


def a_cloud_far_off(scene: Scene) -> Scene:
    """A tenth of the points 10 km away."""
    points = scene.points.copy()
    points[::10] += np.float32([1e4, 0, -1e3])
    return dataclasses.replace(scene, points=points)


def doubled_points(scene: Scene) -> Scene:
    return dataclasses.replace(
        scene, points=scene.points.repeat(3, axis=0), colors=scene.colors.repeat(3, axis=0)
    )


def one_photo_that_sees_nothing(scene: Scene) -> Scene:

    def lose_the_last(index: int, position: np.ndarray) -> None:
        position[0] += 500.0 * (index == len(scene.views) - 1)

    return with_cameras(scene, lose_the_last)


@pytest.mark.parametrize(
    "odd",
    [one_colour, one_point_far_off, a_cloud_far_off, doubled_points, one_photo_that_sees_nothing, two_photos],
    ids=lambda odd: odd.__name__,
)
def test_an_odd_scene_is_learnt(odd, survey, tmp_path):
    report = trained(odd(survey), tmp_path)

    gaussians = read_ply(tmp_path / "model" / MODEL)
    assert is_finite([torch.from_numpy(array) for array in vars(gaussians).values()])
    assert math.isfinite(report.psnr_train)
    assert report.incidents == []
    assert "NaN" not in (tmp_path / "model" / "metrics.json").read_text()


def test_points_are_shared_by_the_photos_that_show_them(survey):
    assert shared_points(survey, survey.views) > 300
    assert shared_points(survey, survey.views[:1]) == 0
    assert shared_points(points_behind(survey), survey.views) == 0
