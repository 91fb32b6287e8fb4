"""Poses that are off by a little are put right, and the scene as a whole stays where it is."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from spaceport.tuning import Tuning
from spaceport_gaussian.evaluation.likeness import mean_psnr
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.photos import PhotoPyramid
from spaceport_gaussian.policies.photo_corrections import PhotoCorrections
from spaceport_gaussian.policies.pose_refinement import PoseRefinement
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import train

CPU = torch.device("cpu")
TUNING = Tuning(max_iterations=60, train_max_size=96, max_gaussians=900, sh_degree=1, holdout=4, seed=5)
EXTENT = 10.0


def moved_camera(view, turn, shift):
    """`view` from where the scene looks turned by `turn` (radians) about it and shifted by `shift` (m)."""
    camera = view.camera
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    motion[:3, 3] = camera.position + shift - motion[:3, :3] @ camera.position
    world_to_camera = camera.world_to_camera @ motion
    return dataclasses.replace(view, camera=dataclasses.replace(camera, world_to_camera=world_to_camera))


@pytest.fixture
def needles(ground) -> Splat:
    """The ground of longish blobs of different directions, so that rotations count."""
    random = np.random.default_rng(1)
    quats = random.normal(size=ground.quats.shape).astype(np.float32)
    log_scales = ground.log_scales + np.float32([0.4, 0, -0.7])
    return Splat.of_gaussians(dataclasses.replace(ground, quats=quats, log_scales=log_scales), CPU)


def test_to_move_the_scene_is_to_move_the_camera(survey, needles):
    # Given a correction of one degree or so, and the camera that it stands for
    view, turn, shift = survey.views[4], np.array([0.01, -0.02, 0.015]), np.array([0.2, -0.1, 0.3])
    (photo,) = PhotoPyramid([view], CPU).at(1.0)
    (shown,) = PhotoPyramid([moved_camera(view, turn, shift)], CPU).at(1.0)

    # When the scene is seen moved from the one, and as it is from the other
    values = torch.tensor([*turn, *(shift / EXTENT)], dtype=torch.float32)
    with torch.no_grad():
        moved = PoseRefinement().moved(needles, photo, values, EXTENT).render(photo, 0).image
        expected = needles.render(shown, 0).image
        still = needles.render(photo, 0).image

    # Then both see the same
    assert (moved - expected).abs().max() < 0.005
    assert (still - expected).abs().max() > 0.1


def test_wrong_poses_are_found_by_the_photos(survey, ground):
    splat = Splat.of_gaussians(ground, CPU)
    # Given the scene, and photos said to be from elsewhere; together they are off by nothing
    random = np.random.default_rng(3)
    turns = random.normal(0, 0.004, (9, 3))
    turns -= turns.mean(axis=0)
    shifts = np.zeros((9, 3))
    truth = PhotoPyramid(survey.views, CPU).at(1.0)
    views = [moved_camera(view, *motion) for view, *motion in zip(survey.views, turns, shifts, strict=True)]
    photos = PhotoPyramid(views, CPU).at(1.0)
    policy = PoseRefinement(rate=3e-4, last_rate=3e-6)
    corrections = PhotoCorrections([policy], photos=9, batch=1, extent=EXTENT, device=CPU)

    def error() -> float:
        """By which the photos' places are off, pixels: root mean square of the middle and a corner."""
        ground_points = torch.tensor([[0.0, 0.0, 0.0], [8.0, 6.0, 0.0]])
        points = dataclasses.replace(splat, means=ground_points, quats=torch.tensor([[1.0, 0, 0, 0]] * 2))
        squares = []
        for index, (photo, true) in enumerate(zip(photos, truth, strict=True)):
            seen = corrections.moved(points, photo, index).means.detach()
            squares.append((pixels(seen, photo) - pixels(ground_points, true)).square().sum(dim=1))
        return torch.stack(squares).mean().sqrt().item()

    before = error()
    # When they are learnt while the scene stays
    for iteration in range(270):
        index = iteration % 9
        render = corrections.moved(splat, photos[index], index).render(photos[index])
        (render.image - photos[index].target).abs().mean().backward()
        corrections.step(iteration / 270)

    # Then most of the error is gone, and the corrections' mean is nothing
    assert before > 0.5
    assert error() < 0.4 * before
    (values,) = corrections.state_dict()["values"]
    assert values.mean(dim=0).abs().max() < 1e-7


def pixels(points: torch.Tensor, photo) -> torch.Tensor:
    x, y, z = (points @ photo.world_to_camera[:3, :3].T + photo.world_to_camera[:3, 3]).T
    return torch.stack([photo.camera.fx * x / z, photo.camera.fy * y / z], dim=1)


def test_what_all_photos_ask_for_shifts_nothing(survey, ground):
    # Given photos, every second taken by a camera turned the other way, that all ask for the scene to go east
    about = np.array([0, 0, np.pi])
    views = [moved_camera(view, index % 2 * about, np.zeros(3)) for index, view in enumerate(survey.views)]
    splat = Splat.of_gaussians(ground, CPU)
    corrections = PhotoCorrections([PoseRefinement()], photos=9, batch=1, extent=EXTENT, device=CPU)
    for index, photo in enumerate(PhotoPyramid(views, CPU).at(1.0)):
        (-corrections.moved(splat, photo, index).means[:, 0].mean()).backward()

    corrections.step(0.0)

    # Then it stays
    assert corrections.sizes()["pose_shift_m"] == 0.0


def test_sizes_are_told_in_degrees_and_metres():
    values = torch.zeros(2, 6)
    values[0, 1], values[1, 4] = math.radians(0.5), 0.02
    sizes = PoseRefinement().sizes(values, EXTENT)
    assert sizes == pytest.approx({"pose_turn_deg": 0.5 / 2**0.5, "pose_shift_m": 0.2 / 2**0.5}, abs=1e-4)


def test_held_out_photos_are_drawn_as_well_as_without(survey):
    quality = {}
    for is_on in (True, False):
        tuning = TUNING.model_copy(update={"pose_refinement": is_on, "max_iterations": 150})
        material = prepare(survey, tuning, CPU)
        run = start(material)
        train(run, material.photos, material.recipe, watcher=lambda *_: None)
        quality[is_on] = mean_psnr(run.splat, material.held.at(1.0))

    assert quality[True] > quality[False] - 0.5
