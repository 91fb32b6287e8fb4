"""What the pilot is told: why photos found no place, and what would be better next time."""
