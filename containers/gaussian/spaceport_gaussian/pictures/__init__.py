"""What a trained splat looks like: beside its photos, in a small picture, and from a flight over it."""
