"""The model laid on Earth: by ground control, else by GPS, else upright; and its geographic files."""
