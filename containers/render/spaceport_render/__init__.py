"""Rasterizers of 3D Gaussians, with the scene, camera and splat types that trainer and compressor share."""
