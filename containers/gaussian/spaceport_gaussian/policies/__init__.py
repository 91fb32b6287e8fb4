"""What a training run is made of: one module for each policy, with its paper, its knobs and their reasons."""
