"""SIFT features and their matches, in a COLMAP database whose photo ids are fixed by name order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pycolmap

from spaceport_sfm.cameras import CAMERA_MODEL, photos_by_camera
from spaceport_sfm.pair import Pair
from spaceport_sfm.photo import Photo

# On brighton at 1600 px (points after filtering, error, CPU-seconds of extraction + exhaustive matching):
#   8,192 features, up to 2 orientations each, Lowe ratio 0.80 (COLMAP's defaults): 6,473, 0.331 px, 43 + 28
#   the same, ratio 0.85:                                                           6,727, 0.340 px, 43 + 30
#   10,000 features, 1 orientation, ratio 0.85:                                     7,406, 0.331 px, 37 + 31
# A second orientation spends the budget on places that are there already; canopy and grass repeat, so
# the second-best match is close, and the geometric check throws out what a laxer ratio lets in.
MAX_FEATURES = 10_000
MAX_ORIENTATIONS = 1
MAX_RATIO = 0.85
# Ten thousand (the default) are only spent on pairs that don't overlap: with 2,000 not one point less.
MAX_RANSAC_TRIALS = 2_000
POLL_S = 1.0


def create_database(database: Path, folder: Path, photos: Sequence[Photo]) -> None:
    """Enter `photos` (files in `folder`) with one shared camera a group."""
    pycolmap.Database.open(database).close()
    for group in photos_by_camera(photos):
        pycolmap.import_images(
            database,
            folder,
            camera_mode=pycolmap.CameraMode.SINGLE,
            image_names=[photo.name for photo in group],
            options=_reader(),
        )


def extract_features(
    database: Path, folder: Path, photos: Sequence[Photo], max_size: int, progress: Callable[[int], None]
) -> None:
    """Find the SIFT features of every photo; `progress` gets the number of photos done."""
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = max_size
    options.sift.max_num_features = MAX_FEATURES
    options.sift.max_num_orientations = MAX_ORIENTATIONS
    with _counting(database, "keypoints", progress):
        pycolmap.extract_features(
            database,
            folder,
            image_names=[photo.name for photo in photos],
            camera_mode=pycolmap.CameraMode.AUTO,
            reader_options=_reader(),
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )


def match(
    database: Path, pair_list: Path, pairs: Sequence[Pair], seed: int, progress: Callable[[int], None]
) -> None:
    """Match and verify `pairs`, writing them to `pair_list`; pairs already matched are skipped.

    `progress` gets the number of pairs in the database.
    """
    pair_list.write_text("".join(f"{first} {second}\n" for first, second in pairs))
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = str(pair_list)
    matching = pycolmap.FeatureMatchingOptions()
    matching.sift.max_ratio = MAX_RATIO
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    verification.ransac.max_num_trials = MAX_RANSAC_TRIALS
    with _counting(database, "two_view_geometries", progress):
        pycolmap.match_image_pairs(database, matching, pairing, verification, device=pycolmap.Device.cpu)


def _reader() -> pycolmap.ImageReaderOptions:
    options = pycolmap.ImageReaderOptions()
    options.camera_model = CAMERA_MODEL
    return options


@contextmanager
def _counting(database: Path, table: str, report: Callable[[int], None]) -> Iterator[None]:
    """Report the rows of `table` while the block runs: these calls of pycolmap tell no progress."""
    finished = threading.Event()
    reported = 0

    def watch() -> None:
        nonlocal reported
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            while not finished.wait(POLL_S):
                try:
                    (rows,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
                except sqlite3.OperationalError:  # locked by the writer: count again next time
                    continue
                if rows != reported:
                    reported = rows
                    report(rows)

    watcher = threading.Thread(target=watch, name=f"count-{table}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
