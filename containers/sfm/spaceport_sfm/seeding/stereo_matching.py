"""The disparities of a rectified pair, by semi-global matching (Hirschmüller 2008) as OpenCV has it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from spaceport_sfm.seeding.rectification import Rectification

BLOCK = 5  # pixels: a side of the compared windows
# Penalties for a disparity that changes by one, and by more: OpenCV's advice for a window of so many pixels.
SMALL_STEP, LARGE_STEP = 8 * BLOCK**2, 32 * BLOCK**2
MAX_LEFT_RIGHT = 1  # pixels between what the left picture finds and the right one
UNIQUENESS = (
    5  # percent by which the best must beat the next; what looks alike is left to the agreement of pairs
)
SPECKLE_SIZE, SPECKLE_RANGE = 100, 2  # pixels, disparities: islands smaller than this are mistakes
FIXED_POINT = 16.0  # SGBM counts in sixteenths


def disparities(
    rectification: Rectification, first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(height, width): disparities in pixels less `rectification.least`; negative where there is none.

    Args:
        first, second: the two grey photos (H, W), of the sizes of the rectification's cameras.
    """
    cv2.setNumThreads(1)  # the same on every machine: its bands depend on the number of threads
    size = (rectification.width, rectification.height)
    pictures = [
        cv2.warpPerspective(photo, turned, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        for photo, turned in zip((first, second), rectification.homographies(), strict=True)
    ]
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=rectification.disparities,
        blockSize=BLOCK,
        P1=SMALL_STEP,
        P2=LARGE_STEP,
        disp12MaxDiff=MAX_LEFT_RIGHT,
        uniquenessRatio=UNIQUENESS,
        speckleWindowSize=SPECKLE_SIZE,
        speckleRange=SPECKLE_RANGE,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    return matcher.compute(*pictures).astype(np.float32) / FIXED_POINT
