"""From features to poses and points: what COLMAP does, with the settings measured for drones."""
