"""Levels of detail for models too large to load whole: streamed SOG."""
