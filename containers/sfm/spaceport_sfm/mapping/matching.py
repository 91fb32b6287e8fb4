"""Matches of photo pairs, each pair verified by its two views' geometry, in the COLMAP database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pycolmap

from spaceport_sfm.pairing.pair import Pair

# Canopy and grass repeat, so the second-best match is close, and the geometric check throws out what a
# laxer ratio than COLMAP's 0.8 lets in.
MAX_RATIO = 0.85
# Ten thousand (the default) are only spent on pairs that don't overlap: with 2,000 not one point less.
MAX_RANSAC_TRIALS = 2_000
POLL_S = 1.0


def match(
    database: Path, pair_list: Path, pairs: Sequence[Pair], seed: int, progress: Callable[[int], None]
) -> None:
    """Match and verify `pairs`, writing them to `pair_list`; pairs already matched are skipped.

    `progress` gets the number of these pairs that are done.

    Raises:
        ValueError: a name with a blank, which COLMAP's list would silently take for another one.
    """
    if unfit := [name for pair in pairs for name in pair if name.split() != [name]]:
        raise ValueError(f"a photo's name can't hold blanks here: {unfit[0]!r}")
    pair_list.write_text("".join(f"{first} {second}\n" for first, second in pairs))
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = str(pair_list)
    matching = pycolmap.FeatureMatchingOptions()
    matching.sift.max_ratio = MAX_RATIO
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    verification.ransac.max_num_trials = MAX_RANSAC_TRIALS
    with _counting(database, pairs, progress):
        pycolmap.match_image_pairs(database, matching, pairing, verification, device=pycolmap.Device.cpu)


def matched_features(database: Path) -> int:
    """How many features have a verified match: the observations that mapping begins with."""
    with closing(pycolmap.Database.open(database)) as opened:
        photos = [image.image_id for image in opened.read_all_images()]
        matched = {photo: np.zeros(opened.num_keypoints_for_image(photo), bool) for photo in photos}
        for pair_id, geometry in zip(*opened.read_two_view_geometries(), strict=True):
            first, second = pycolmap.pair_id_to_image_pair(pair_id)
            matched[first][geometry.inlier_matches[:, 0]] = True
            matched[second][geometry.inlier_matches[:, 1]] = True
    return sum(int(of_photo.sum()) for of_photo in matched.values())


@contextmanager
def _counting(database: Path, pairs: Sequence[Pair], report: Callable[[int], None]) -> Iterator[None]:
    """Report how many of `pairs` are done while the block runs: this call of pycolmap tells no progress.

    The count goes through pycolmap's own SQLite, opened before the block and closed after it: a second copy
    of SQLite in one process (Python's) breaks the first one's file locks when it closes the file, and the
    shared memory of the write-ahead log is then cut under it: SIGBUS (sqlite.org/howtocorrupt.html, 2.2.1).
    """
    with closing(pycolmap.Database.open(database)) as opened:
        ids = {image.name: image.image_id for image in opened.read_all_images()}

        def undone(among: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
            return [pair for pair in among if not opened.exists_two_view_geometry(*pair)]

        left = undone((ids[first], ids[second]) for first, second in pairs)
        finished = threading.Event()

        def watch(left: list[tuple[int, int]]) -> None:
            while not finished.wait(POLL_S):
                if len(still := undone(left)) != len(left):
                    left = still
                    report(len(pairs) - len(left))

        watcher = threading.Thread(target=watch, args=(left,), name="count-pairs", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()
