"""The other formats that a model is delivered in."""
