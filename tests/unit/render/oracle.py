"""A render of 3D Gaussians by definition: every pixel, every Gaussian, float64, torch autograd.

Written from the papers' formulas, with full covariance matrices and without tiles, and slow.
The fast rasterizers are tested against it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rasterize_by_definition(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh: Tensor,
    world_to_camera: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    *,
    sh_degree: int,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    antialiased: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """(image (H, W, 3), alpha (H, W), means2d (N, 2)); differentiable by everything, means2d included."""
    view, lens = world_to_camera.double(), intrinsics.double()
    in_camera = means @ view[:3, :3].T + view[:3, 3]
    means2d = in_camera[:, :2] / in_camera[:, 2:] * torch.stack([lens[0, 0], lens[1, 1]]) + lens[:2, 2]
    if means2d.requires_grad:
        means2d.retain_grad()
    sharp = _covariances2d(in_camera, quats, scales, view, lens, width, height)
    covariances = sharp + 0.3 * torch.eye(2, dtype=torch.float64)
    if antialiased:
        opacities = opacities * (torch.linalg.det(sharp) / torch.linalg.det(covariances)).sqrt()
    conics = torch.linalg.inv(covariances)
    directions = means - (-view[:3, :3].T @ view[:3, 3])
    basis = _basis(torch.nn.functional.normalize(directions, dim=1), sh_degree)
    colors = (0.5 + (basis[:, :, None] * sh[:, : basis.shape[1]]).sum(1)).clamp_min(0)

    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5,
        torch.arange(width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([x, y], -1)
    image = torch.zeros(height, width, 3, dtype=torch.float64)
    light = torch.ones(height, width, dtype=torch.float64)
    finished = torch.zeros(height, width, dtype=torch.bool)
    for i in torch.argsort(in_camera[:, 2]).tolist():
        if in_camera[i, 2] <= 0.01:
            continue
        offset = pixels - means2d[i]
        distance = (offset @ conics[i] * offset).sum(-1)
        alpha = (opacities[i] * torch.exp(-0.5 * distance)).clamp_max(0.999)
        alpha = torch.where(alpha >= 1 / 255, alpha, 0.0)
        finished = finished | (light * (1 - alpha) <= 1e-4)
        alpha = torch.where(finished, 0.0, alpha)
        image = image + (alpha * light)[..., None] * colors[i]
        light = light * (1 - alpha)
    image = image + light[..., None] * torch.tensor(background, dtype=torch.float64)
    return image, 1 - light, means2d


def _covariances2d(
    in_camera: Tensor, quats: Tensor, scales: Tensor, view: Tensor, lens: Tensor, width: int, height: int
) -> Tensor:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(1)
    rotations = torch.stack(
        [
            torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        -2,
    )
    in_world = rotations @ torch.diag_embed(scales**2) @ rotations.mT
    covariances = view[:3, :3] @ in_world @ view[:3, :3].T

    fx, fy, cx, cy = lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2]
    depth = in_camera[:, 2]
    margin_x, margin_y = 0.3 * 0.5 * width / fx, 0.3 * 0.5 * height / fy
    slope_x = (in_camera[:, 0] / depth).clamp(-cx / fx - margin_x, (width - cx) / fx + margin_x)
    slope_y = (in_camera[:, 1] / depth).clamp(-cy / fy - margin_y, (height - cy) / fy + margin_y)
    zero = torch.zeros_like(depth)
    jacobians = torch.stack(
        [
            torch.stack([fx / depth, zero, -fx * slope_x / depth], -1),
            torch.stack([zero, fy / depth, -fy * slope_y / depth], -1),
        ],
        -2,
    )
    return jacobians @ covariances @ jacobians.mT


def _basis(directions: Tensor, degree: int) -> Tensor:
    """(N, (degree + 1)²): the real spherical harmonics as 3DGS orders and signs them."""
    x, y, z = directions.unbind(1)
    functions = [torch.full_like(x, 0.28209479177387814)]
    if degree > 0:
        functions += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree > 1:
        functions += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree > 2:
        functions += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(functions, 1)
