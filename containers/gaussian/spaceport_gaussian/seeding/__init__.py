"""Points for the first Gaussians where SfM found none."""
