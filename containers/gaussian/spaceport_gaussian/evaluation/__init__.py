"""How good a splat is: what the stopping rules test, and what the report tells."""
