"""What of a trained model is not worth delivering: broken Gaussians, floaters, far surroundings."""
