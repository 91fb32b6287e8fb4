# ruff: noqa: PLR0917 - a camera is several arguments
"""How fast does the Numba rasterizer draw and differentiate on a CPU, and how much faster than torch?

    python bench/rasterizer_speed.py [--gaussians 20000] [--width 480] [--height 270]
                                     [--iterations 0] [--table]

Both draw the same aerial scene with the same rules and differentiate the same loss by all parameters, in
turns, in one process. The torch one is not a straw man: it is tiled, culls as ours does, composites each
tile at once by a cumulative product, and leaves gradients to autograd.

`--table` prints ours against size and count. `--iterations` trains for so many: a render, 3DGS's loss against
a picture of the unspoilt scene, its gradient, and a step of Adam. On a machine that does other work, compare
CPU time, which is that of all threads.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import machine
from torch import Tensor

from spaceport_render.rasterize import rasterize
from spaceport_render.ssim_loss import SsimTarget, ssim_loss
from spaceport_render.threads import available_cores

TILE = 16
ALPHA_CUT = 1 / 255
SIZES = ((240, 135), (480, 270), (960, 540))
COUNTS = (5_000, 20_000, 80_000)


def aerial_scene(count: int) -> tuple[Tensor, ...]:
    """Flat splats about as large as their spacing over 60 m × 60 m of ground with hills and boxes."""
    rng = np.random.default_rng(0)
    ground = rng.uniform(-30, 30, (count, 2))
    height = 1.2 * np.sin(ground[:, 0] * 0.15) * np.cos(ground[:, 1] * 0.11)
    boxes = (np.abs(ground % 12 - 6) < 2.5).all(axis=1)
    height[boxes] += rng.uniform(0, 6, boxes.sum())
    spacing = math.sqrt(60 * 60 / count)
    scales = spacing * np.exp(rng.normal(-0.25, 0.45, (count, 3)))
    scales[:, 2] *= 0.12
    tilt = rng.normal(0, 0.15, (count, 2))
    values = (
        np.column_stack([ground, height]),
        np.column_stack([np.ones(count), tilt, rng.uniform(-1, 1, count)]),
        scales,
        1 / (1 + np.exp(-rng.normal(1.2, 1.8, count))),
        rng.normal(0, 1, (count, 16, 3)) * np.array([0.6, *[0.05] * 15])[:, None],
    )
    return tuple(torch.tensor(value, dtype=torch.float32) for value in values)


def oblique_camera(width: int, height: int) -> tuple[Tensor, Tensor]:
    """55 m from the scene's middle, looking down at it, 55° wide."""
    position = 55 * np.array([math.cos(0.6) * math.cos(0.9), math.sin(0.6) * math.cos(0.9), math.sin(0.9)])
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    view[:3, 3] = -view[:3, :3] @ position
    focal = 0.5 * width / math.tan(math.radians(55) / 2)
    lens = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return torch.tensor(view, dtype=torch.float32), torch.tensor(lens, dtype=torch.float32)


def rasterize_in_torch(
    splats: tuple[Tensor, ...], view: Tensor, lens: Tensor, width: int, height: int
) -> Tensor:
    """(H, W, 3) on black, by the same rules."""
    means, quats, scales, opacities, sh = splats
    in_camera = means @ view[:3, :3].T + view[:3, 3]
    centers = in_camera[:, :2] / in_camera[:, 2:] * torch.stack([lens[0, 0], lens[1, 1]]) + lens[:2, 2]
    covariances = footprint_covariances(in_camera, quats, scales, view, lens, width, height)
    conics = torch.linalg.inv(covariances)
    directions = torch.nn.functional.normalize(means + view[:3, :3].T @ view[:3, 3], dim=1)
    colors = (0.5 + torch.einsum("nk,nkc->nc", harmonics(directions), sh)).clamp_min(0)
    with torch.no_grad():
        cut_squared = 2 * torch.log((opacities / ALPHA_CUT).clamp_min(1))
        reach = torch.sqrt(cut_squared[:, None] * covariances.diagonal(dim1=1, dim2=2))
        drawn = (in_camera[:, 2] > 0.01) & (opacities >= ALPHA_CUT)
        by_depth = torch.argsort(in_camera[:, 2])
        by_depth = by_depth[drawn[by_depth]]
        low, high = (centers - reach)[by_depth], (centers + reach)[by_depth]
    rows = []
    for top in range(0, height, TILE):
        tiles = []
        for left in range(0, width, TILE):
            touching = (
                (low[:, 0] < left + TILE)
                & (high[:, 0] > left)
                & (low[:, 1] < top + TILE)
                & (high[:, 1] > top)
            )
            at = by_depth[touching]
            y, x = torch.meshgrid(
                torch.arange(top, min(top + TILE, height)) + 0.5,
                torch.arange(left, min(left + TILE, width)) + 0.5,
                indexing="ij",
            )
            dx, dy = x[None] - centers[at, 0, None, None], y[None] - centers[at, 1, None, None]
            a, b, c = (conics[at, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
            power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
            alpha = (opacities[at, None, None] * torch.exp(power)).clamp_max(0.999)
            alpha = torch.where(alpha >= ALPHA_CUT, alpha, 0.0)
            behind = torch.cumprod(1 - alpha, dim=0)
            before = torch.cat([torch.ones_like(alpha[:1]), behind[:-1]]) if len(at) else alpha
            weights = torch.where(behind > 1e-4, alpha * before, 0.0)
            tiles.append(torch.einsum("nhw,nc->hwc", weights, colors[at]))
        rows.append(torch.cat(tiles, dim=1))
    return torch.cat(rows)


def footprint_covariances(
    in_camera: Tensor, quats: Tensor, scales: Tensor, view: Tensor, lens: Tensor, width: int, height: int
) -> Tensor:
    """(N, 2, 2), pixels²."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(1)
    rotations = torch.stack(
        [
            *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        ],
        dim=-1,
    ).view(-1, 3, 3)
    fx, fy = lens[0, 0], lens[1, 1]
    depth = in_camera[:, 2]
    slope_x = (in_camera[:, 0] / depth).clamp(-0.65 * width / fx, 0.65 * width / fx)
    slope_y = (in_camera[:, 1] / depth).clamp(-0.65 * height / fy, 0.65 * height / fy)
    zero = torch.zeros_like(depth)
    across = (fx / depth, zero, -fx * slope_x / depth)
    down = (zero, fy / depth, -fy * slope_y / depth)
    jacobians = torch.stack([*across, *down], -1)
    axes = jacobians.view(-1, 2, 3) @ view[:3, :3] @ rotations * scales[:, None]
    return axes @ axes.mT + 0.3 * torch.eye(2)


def harmonics(directions: Tensor) -> Tensor:
    """(N, 16)."""
    x, y, z = directions.unbind(1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479),
            *(-0.48860251 * y, 0.48860251 * z, -0.48860251 * x),
            *(1.09254843 * x * y, -1.09254843 * y * z, 0.31539157 * (2 * zz - xx - yy)),
            *(-1.09254843 * x * z, 0.54627422 * (xx - yy)),
            *(-0.59004359 * y * (3 * xx - yy), 2.89061144 * x * y * z, -0.45704580 * y * (4 * zz - xx - yy)),
            *(0.37317633 * z * (2 * zz - 3 * xx - 3 * yy), -0.45704580 * x * (4 * zz - xx - yy)),
            *(1.44530572 * z * (xx - yy), -0.59004359 * x * (xx - 3 * yy)),
        ],
        dim=1,
    )


def timed(
    draw: Callable[[tuple[Tensor, ...]], Tensor], splats: tuple[Tensor, ...]
) -> tuple[float, float, Tensor]:
    """Milliseconds forward and backward, and the image."""
    leaves = tuple(value.clone().requires_grad_() for value in splats)
    start = time.perf_counter()
    image = draw(leaves)
    drawn = time.perf_counter()
    image.square().mean().backward()
    return 1e3 * (drawn - start), 1e3 * (time.perf_counter() - drawn), image.detach()


def medians(size: tuple[int, int], count: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of our rasterizer, forward and backward."""
    splats, (view, lens) = aerial_scene(count), oblique_camera(*size)

    def ours(leaves: tuple[Tensor, ...]) -> Tensor:
        return rasterize(*leaves, view, lens, *size, sh_degree=3).image

    runs = [timed(ours, splats)[:2] for _ in range(rounds + 1)][1:]
    forward, backward = (statistics.median(column) for column in zip(*runs, strict=True))
    return forward, backward


def print_table(rounds: int) -> None:
    print("\nms forward + backward, medians\n")
    print("| | " + " | ".join(f"{count:,}" for count in COUNTS) + " |")
    print("| --- |" + " --- |" * len(COUNTS))
    for width, height in SIZES:
        cells = [medians((width, height), count, rounds) for count in COUNTS]
        told = " | ".join(f"{forward:.1f} + {backward:.1f}" for forward, backward in cells)
        print(f"| {width}x{height} | {told} |")


def print_training(size: tuple[int, int], count: int, iterations: int) -> None:
    view, lens = oblique_camera(*size)
    unspoilt = aerial_scene(count)
    with torch.no_grad():
        photo = SsimTarget.of(rasterize(*unspoilt, view, lens, *size, sh_degree=3).image.clamp(0, 1))
    means, quats, scales, opacities, sh = unspoilt
    noise = torch.randn(means.shape, generator=torch.Generator().manual_seed(0))
    start = (means + 0.1 * noise, quats, scales.log(), torch.logit(opacities, 1e-4), 0.5 * sh)
    leaves = [value.clone().requires_grad_() for value in start]
    rates = (1e-2, 1e-3, 5e-3, 5e-2, 2.5e-3)
    groups = [{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, rates, strict=True)]
    adam = torch.optim.Adam(groups, eps=1e-15, fused=True)
    losses = []
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in range(iterations):
        means, quats, log_scales, logits, sh = leaves
        scales, opacities = log_scales.exp(), logits.sigmoid()
        image = rasterize(means, quats, scales, opacities, sh, view, lens, *size, sh_degree=3).image
        loss = 0.8 * (image - photo.photo).abs().mean() + 0.2 * ssim_loss(image, photo)
        loss.backward()
        adam.step()
        adam.zero_grad(set_to_none=True)
        losses.append(loss.item())
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    print(f"{iterations} iterations: {wall:.1f} s, {cpu:.1f} CPU s; loss {losses[0]:.4f} -> {losses[-1]:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--height", type=int, default=270)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=0)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(available_cores())
    print(machine("torch", "numba"))
    compare_with_torch((options.width, options.height), options.gaussians, options.rounds)
    torch.set_num_threads(1)  # as the trainer does
    if options.table:
        print_table(4 * options.rounds)
    if options.iterations:
        print_training((options.width, options.height), options.gaussians, options.iterations)


def compare_with_torch(size: tuple[int, int], count: int, rounds: int) -> None:
    splats, (view, lens) = aerial_scene(count), oblique_camera(*size)

    def ours(leaves: tuple[Tensor, ...]) -> Tensor:
        return rasterize(*leaves, view, lens, *size, sh_degree=3).image

    def theirs(leaves: tuple[Tensor, ...]) -> Tensor:
        return rasterize_in_torch(leaves, view, lens, *size)

    first = timed(ours, splats)  # compiles, or loads what was compiled
    image, torch_image = timed(ours, splats)[2], timed(theirs, splats)[2]
    measured: dict[str, list[tuple[float, float]]] = {"numba": [], "torch": []}
    for _ in range(rounds):
        # Ours is short: five runs a turn, so that a passing disturbance does not decide.
        measured["numba"] += [timed(ours, splats)[:2] for _ in range(5)]
        measured["torch"] += [timed(theirs, splats)[:2]]
    print(f"{count} Gaussians, {size[0]}x{size[1]}, SH degree 3, medians")
    difference = (image - torch_image).abs().max()
    # A pixel on the threshold of 1/255 may fall on either side of it, which makes up to 4e-3.
    print(f"first call {sum(first[:2]):.0f} ms; images differ by {difference:.1e} at most")
    totals = {}
    for name, runs in measured.items():
        forward, backward = (statistics.median(column) for column in zip(*runs, strict=True))
        totals[name] = forward + backward
        print(f"{name}: forward {forward:.1f} ms + backward {backward:.1f} ms = {totals[name]:.1f} ms")
    print(f"torch / numba: {totals['torch'] / totals['numba']:.0f}x")


if __name__ == "__main__":
    main()
