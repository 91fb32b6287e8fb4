"""The order in which a flight's photos were taken, where their names don't tell it.

Cameras number their photos, so the names' order is the flown one, mostly. Photos that went through an album,
a messenger or a renaming come shuffled: a way by name then jumps all over the site.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spaceport_render.camera import Camera

Floats = NDArray[np.float64]

# By name longer than this many short tours: shuffled. Grids, rings and cross-hatches are below 1.1;
# 24 shuffled photos are at 4.7, and more photos at more.
ZIGZAG = 2.0
SWEEPS = 20  # of 2-opt: it settles after ten


def flown_order(cameras: Sequence[Camera]) -> Sequence[Camera]:
    """`cameras` as they are, or, where that zig-zags badly, along a short tour of them all."""
    if len(cameras) < 4:
        return cameras
    places = np.array([camera.position for camera in cameras])
    apart = np.median(np.linalg.norm(places - np.median(places, axis=0), axis=1))
    # Photos from one place that look different ways are apart, too: by as much as half the site.
    looks = apart * np.array([camera.world_to_camera[2, :3] for camera in cameras])
    stops = np.hstack([places, looks])
    tour = nearest_neighbours(stops)
    if tour_length(stops) <= ZIGZAG * tour_length(stops[tour]):
        return cameras
    return [cameras[index] for index in two_opt(stops, tour)]


def tour_length(stops: Floats) -> float:
    """Of the open way along `stops` (N, D) in their order."""
    return float(np.linalg.norm(np.diff(stops, axis=0), axis=1).sum())


def nearest_neighbours(stops: Floats) -> NDArray[np.intp]:
    """(N,) an order of `stops` (N, D): from an outermost one always on to the nearest that is left."""
    here = int(np.linalg.norm(stops - stops.mean(axis=0), axis=1).argmax())
    left = np.ones(len(stops), dtype=bool)
    order = []
    for _ in stops:
        order.append(here)
        left[here] = False
        here = int(np.where(left, _from(stops[here], stops), np.inf).argmin())
    return np.array(order)


def two_opt(stops: Floats, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """`order` (N,) of `stops` (N, D) with stretches turned round as long as that shortens the open way.

    Croes 1958, "A method for solving traveling-salesman problems".
    """
    order = order.copy()
    for _ in range(SWEEPS):
        before = tour_length(stops[order])
        for first in range(len(order) - 1):
            way = stops[order]
            # Turning first … last round replaces the legs into and out of that stretch, where there are any.
            into = np.zeros(len(order)) if first == 0 else _from(way[first - 1], way)
            out = np.zeros(len(order))
            old_out = np.zeros(len(order))
            out[:-1] = _from(way[first], way[1:])
            old_out[:-1] = np.linalg.norm(np.diff(way, axis=0), axis=1)
            gain = (into[first] + old_out - into - out)[first + 1 :]
            last = first + 1 + int(gain.argmax())
            if gain[last - first - 1] > 1e-9 * before:
                order[first : last + 1] = order[first : last + 1][::-1]
        if tour_length(stops[order]) >= before * (1 - 1e-9):
            break
    return order


def _from(place: Floats, stops: Floats) -> Floats:
    return np.linalg.norm(stops - place, axis=-1)
