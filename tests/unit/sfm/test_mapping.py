"""Mapping and refinement of flights that are only numbers: points on the ground, seen by known cameras."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray
from PIL import Image

from spaceport.tuning import Mapper
from spaceport_sfm.mapping.cameras import enter_focal_priors
from spaceport_sfm.mapping.features import create_database
from spaceport_sfm.mapping.mapper import MappedScene, map_scene
from spaceport_sfm.mapping.refinement import Estimate, refine, weigh
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.similarity import umeyama

FOCAL_PX = 1100.0
SIZE = (1600, 1200)
NOISE_PX = 0.3
ALTITUDE_M = 60.0
MIN_MATCHES = 30
Floats = NDArray[np.float64]


@dataclass
class Flight:
    """Photos that were never taken, with where they look and what their cameras are.

    Attributes:
        ground: (P, 3) the points that are seen.
        rotations, centres: world to camera (3, 3), and (3,).
        focals: the true ones, pixels.
    """

    ground: Floats
    photos: list[Photo] = field(default_factory=list)
    rotations: list[Floats] = field(default_factory=list)
    centres: list[Floats] = field(default_factory=list)
    focals: list[float] = field(default_factory=list)

    def shoot(
        self, centre: Sequence[float], target: Sequence[float], *, body: str = "A", focal: float = FOCAL_PX
    ) -> None:
        """One more photo, of `body`, from `centre` at `target`, its upper edge to the north."""
        forward = np.subtract(target, centre) / np.linalg.norm(np.subtract(target, centre))
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        name = f"{len(self.photos):03d}.jpg"
        self.photos.append(Photo(name=name, source=name, width=SIZE[0], height=SIZE[1], body=body))
        self.rotations.append(np.array([right, np.cross(forward, right), forward]))
        self.centres.append(np.array(centre, dtype=float))
        self.focals.append(focal)

    def told(self, focal: float | None, body: str = "A") -> list[Photo]:
        """The photos, those of `body` with EXIF that says `focal` pixels."""
        return [
            photo.model_copy(update={"focal_px": focal}) if photo.body == body else photo
            for photo in self.photos
        ]

    def match(self, folder: Path, photos: Sequence[Photo]) -> Path:
        """A database as feature extraction and matching would have left it: noisy places, true matches."""
        for photo in photos:
            Image.new("RGB", SIZE).save(folder / photo.name)
        file = folder / "database.db"
        create_database(file, folder, photos)
        enter_focal_priors(file, photos)
        random = np.random.default_rng(0)
        seen: dict[int, NDArray[np.int64]] = {}
        with pycolmap.Database.open(file) as database:
            ids = {image.name: image.image_id for image in database.read_all_images()}
            for photo, rotation, centre, focal in zip(
                self.photos, self.rotations, self.centres, self.focals, strict=True
            ):
                local = (self.ground - centre) @ rotation.T
                pixels = focal * local[:, :2] / local[:, 2:] + np.divide(SIZE, 2)
                inside = (local[:, 2] > 0) & (pixels > 0).all(axis=1) & (pixels < SIZE).all(axis=1)
                places = pixels[inside] + random.normal(0, NOISE_PX, (inside.sum(), 2))
                seen[ids[photo.name]] = np.flatnonzero(inside)
                database.write_keypoints(ids[photo.name], places.astype(np.float32))
            for pair in combinations(sorted(seen), 2):
                _, *places = np.intersect1d(seen[pair[0]], seen[pair[1]], return_indices=True)
                if len(places[0]) >= MIN_MATCHES:
                    geometry = pycolmap.TwoViewGeometry()
                    geometry.config = pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED.value
                    geometry.inlier_matches = np.stack(places, axis=1).astype(np.uint32)
                    database.write_matches(*pair, geometry.inlier_matches)
                    database.write_two_view_geometry(*pair, geometry)
        return file


def flat_flight(*, obliques: bool, points: int = 900) -> Flight:
    """A grid of 12 photos straight down, and six from around if `obliques`."""
    random = np.random.default_rng(1)
    ground = np.column_stack([random.uniform(-90, 90, (points, 2)), random.uniform(0, 4, points)])
    flight = Flight(ground)
    for x in (-30.0, 0.0, 30.0):
        for y in (-30.0, -10.0, 10.0, 30.0):
            flight.shoot(
                (x, y, ALTITUDE_M + random.normal(0, 0.3)), (x + 0.5, y + random.normal(0, 0.5), 0.0)
            )
    if obliques:
        for angle in np.arange(6) * np.pi / 3 + 0.3:
            flight.shoot((60 * np.cos(angle), 60 * np.sin(angle), 50.0), (0.0, 0.0, 0.0))
    return flight


@dataclass(frozen=True)
class Mapping:
    """A flight in its folder, matched: what `map_scene` starts from."""

    folder: Path
    database: Path
    photos: Sequence[Photo]

    @classmethod
    def of(cls, flight: Flight, folder: Path, photos: Sequence[Photo] | None = None) -> Mapping:
        photos = flight.photos if photos is None else photos
        return cls(folder, flight.match(folder, photos), photos)

    def run(
        self, photos: Sequence[Photo] | None = None, mapper: Mapper = Mapper.AUTO, grow_from=None
    ) -> MappedScene:
        workspace = Path(mkdtemp(dir=self.folder))
        scene = map_scene(
            self.database,
            self.folder,
            workspace,
            photos=self.photos if photos is None else photos,
            mapper=mapper,
            seed=0,
            progress=lambda _: None,
            grow_from=grow_from,
        )
        assert scene is not None
        return scene


def camera_error_m(model: pycolmap.Reconstruction, flight: Flight) -> float:
    """RMS distance of the cameras from the true ones after the best similarity."""
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda i: i.name)
    found = np.array([image.projection_center() for image in images])
    true = np.array([flight.centres[int(image.name[:3])] for image in images])
    return float(np.sqrt(((umeyama(found, true).apply(found) - true) ** 2).sum(axis=1).mean()))


def content(model: pycolmap.Reconstruction) -> dict[str, bytes]:
    """The model's files."""
    with TemporaryDirectory() as folder:
        model.write(folder)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def test_what_photos_and_exif_say_is_weighed_by_how_far_each_can_be_wrong() -> None:
    prior = Estimate(1000.0, 50.0)
    assert weigh(Estimate(1100.0, 50.0), prior) == Estimate(1050.0, pytest.approx(50 / 2**0.5))
    assert weigh(Estimate(1200.0, 300.0), prior).value == pytest.approx(1005.4, abs=0.1)
    assert weigh(Estimate(1040.0, 5.0), prior).value == pytest.approx(1039.6, abs=0.1)
    assert weigh(Estimate(1100.0, 50.0), None) == Estimate(1100.0, 50.0)
    assert weigh(Estimate(1100.0, float("inf")), prior) == prior


def test_exif_that_contradicts_photos_that_know_is_not_believed() -> None:
    measured = Estimate(1100.0, 6.0)
    assert weigh(measured, Estimate(2200.0, 110.0)) == measured


@pytest.fixture(scope="module")
def oblique(tmp_path_factory: pytest.TempPathFactory) -> tuple[Flight, Mapping]:
    """A flight with six photos that look sideways, mapped without EXIF."""
    flight = flat_flight(obliques=True)
    return flight, Mapping.of(flight, tmp_path_factory.mktemp("oblique"))


@pytest.mark.parametrize("told", [None, 0.96 * FOCAL_PX, 2 * FOCAL_PX])
def test_obliques_find_the_focal_length_whatever_exif_says(
    oblique: tuple[Flight, Mapping], told: float | None
) -> None:
    flight, mapping = oblique
    # Given photos that look sideways, too, and EXIF that is silent, 4 % off or wrong
    model = mapping.run().model
    # When the model is refined
    (lens,) = refine(model, flight.told(told))
    # Then the photos' own focal length is found, and the cameras are where they were
    assert lens.focal_px == pytest.approx(FOCAL_PX, rel=0.002)
    assert lens.focal_prior_px == told
    assert 0 < lens.focal_sigma_px < 0.02 * FOCAL_PX
    assert camera_error_m(model, flight) < 0.1


def test_photos_that_all_look_down_believe_exif_and_tell_how_unsure_they_are(tmp_path: Path) -> None:
    flight = flat_flight(obliques=False)
    # Given photos that all look down, whose EXIF is 3 % off
    told = 1.03 * FOCAL_PX
    model = Mapping.of(flight, tmp_path).run().model
    # When the model is refined
    (lens,) = refine(model, flight.told(told))
    # Then the focal length is EXIF's, more or less, and said to be as uncertain as that
    assert lens.focal_px == pytest.approx(told, rel=0.01)
    assert abs(lens.focal_px - FOCAL_PX) < lens.focal_sigma_px <= 0.05 * told


def test_a_second_body_and_a_single_photo_of_a_third_get_lenses_of_their_own(tmp_path: Path) -> None:
    # Given photos of one body, some of another, and one of a third, whose EXIF is 5 % off
    flight = flat_flight(obliques=False)
    for angle in np.arange(6) * np.pi / 3:
        flight.shoot((60 * np.cos(angle), 60 * np.sin(angle), 50.0), (0, 0, 0), body="B", focal=1300.0)
    flight.shoot((5.0, 40.0, 45.0), (0.0, 0.0, 0.0), body="C", focal=900.0)
    # When they are mapped and refined
    mapping = Mapping.of(flight, tmp_path, flight.told(945.0, body="C"))
    scene = mapping.run()
    lenses = {lens.camera[0]: lens for lens in refine(scene.model, mapping.photos)}
    # Then all are placed, and each has its own focal length
    assert len(scene.registered) == len(flight.photos)
    assert {name: lens.photos for name, lens in lenses.items()} == {"A": 12, "B": 6, "C": 1}
    assert lenses["A"].focal_px == pytest.approx(FOCAL_PX, rel=0.01)
    assert lenses["B"].focal_px == pytest.approx(1300.0, rel=0.01)
    assert lenses["C"].focal_px == pytest.approx(900.0, rel=0.05)
    assert camera_error_m(scene.model, flight) < 0.2


def test_a_model_grows_by_the_photos_it_lacks(oblique: tuple[Flight, Mapping]) -> None:
    flight, mapping = oblique
    # Given a model of some of the photos
    before = mapping.run(flight.photos[:8])
    assert before.registered == [photo.name for photo in flight.photos[:8]]
    # When it goes on with all of them
    grown = mapping.run(grow_from=before.model)
    # Then the others are placed too, in the same model
    assert grown.registered == [photo.name for photo in flight.photos]
    assert grown.others == ()
    assert camera_error_m(grown.model, flight) < 0.1


def test_photos_of_another_place_are_named(tmp_path: Path) -> None:
    # Given 18 photos of one place and five of another
    flight = flat_flight(obliques=True)
    elsewhere = flight.ground + np.array([1000.0, 0.0, 0.0])
    flight.ground = np.vstack([flight.ground, elsewhere])
    for y in (-30.0, -15.0, 0.0, 15.0, 30.0):
        flight.shoot((1000.0 + y / 3, y, ALTITUDE_M), (1000.0 + y / 3, y + 2.0, 0.0))
    # When they are mapped
    scene = Mapping.of(flight, tmp_path).run()
    # Then the larger place is the model, and the other one's photos are named
    assert scene.registered == [photo.name for photo in flight.photos[:18]]
    assert scene.others == (tuple(photo.name for photo in flight.photos[18:]),)


def test_the_global_mapper_places_the_same_photos_and_repeats_itself(
    oblique: tuple[Flight, Mapping],
) -> None:
    flight, mapping = oblique
    models = [mapping.run(mapper=Mapper.GLOBAL).model for _ in range(2)]
    for model in models:
        refine(model, flight.photos)
        assert model.num_reg_images() == len(flight.photos)
        assert camera_error_m(model, flight) < 0.1
    assert content(models[0]) == content(models[1])


def test_the_number_of_cores_does_not_matter(oblique: tuple[Flight, Mapping]) -> None:
    _, mapping = oblique
    # Given the same matches mapped on all cores, and on one
    cores = os.sched_getaffinity(0)
    models = [mapping.run().model]
    os.sched_setaffinity(0, {min(cores)})
    try:
        models.append(mapping.run().model)
    finally:
        os.sched_setaffinity(0, cores)
    # When both are refined
    for model in models:
        refine(model, mapping.photos)
    # Then they are the same to the last bit
    assert content(models[0]) == content(models[1])


def test_points_that_say_nothing_are_dropped(oblique: tuple[Flight, Mapping]) -> None:
    _, mapping = oblique
    model = mapping.run().model
    refine(model, mapping.photos)
    clean = set(model.points3D)
    # Given a point as far as the horizon, one seen from behind, one off by metres, and one seen by two photos
    far, behind, off, twice = sorted(clean)[:4]
    model.points3D[far].xyz = [0.0, 0.0, -1e5]
    model.points3D[behind].xyz = 2 * model.images[1].projection_center() - model.points3D[behind].xyz
    model.points3D[off].xyz = model.points3D[off].xyz * 1.2
    seen = [(element.image_id, element.point2D_idx) for element in model.points3D[twice].track.elements]
    for observation in seen[2:]:
        model.delete_observation(*observation)
    # When the model is refined again
    refine(model, mapping.photos)
    # Then those are gone, and no others
    assert clean - set(model.points3D) == {far, behind, off, twice}
