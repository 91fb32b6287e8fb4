"""Writes a scene as SfM hands it to training."""

from __future__ import annotations

from pathlib import Path

import pycolmap
from PIL import Image

from spaceport_render.scene import Scene


def write_dense(scene: Scene, folder: Path) -> Path:
    """Writes `images/` and `sparse/` (by way of COLMAP's text format)."""
    (folder / "images").mkdir()
    (folder / "sparse").mkdir()
    text = folder / "text"
    text.mkdir()
    cameras, images = [], []
    for number, view in enumerate(scene.views, 1):
        camera = view.camera
        Image.fromarray(view.pixels).save(folder / "images" / camera.name)
        lens = f"{camera.fx} {camera.fy} {camera.cx} {camera.cy}"
        cameras.append(f"{number} PINHOLE {camera.width} {camera.height} {lens}\n")
        pose = pycolmap.Rigid3d(camera.world_to_camera[:3])
        x, y, z, w = pose.rotation.quat
        shift = " ".join(map(str, pose.translation))
        images.append(f"{number} {w} {x} {y} {z} {shift} {number} {camera.name}\n\n")
    points = [
        f"{number} {' '.join(map(str, point))} {' '.join(map(str, color))} 0\n"
        for number, (point, color) in enumerate(zip(scene.points, scene.colors, strict=True), 1)
    ]
    (text / "cameras.txt").write_text("".join(cameras))
    (text / "images.txt").write_text("".join(images))
    (text / "points3D.txt").write_text("".join(points))
    pycolmap.Reconstruction(text).write(folder / "sparse")
    return folder
