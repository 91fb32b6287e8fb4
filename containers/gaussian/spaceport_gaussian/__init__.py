"""3DGS training: an undistorted, geo-registered scene in, a trained splat with honest numbers out."""
