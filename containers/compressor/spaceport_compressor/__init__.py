"""The compression stage: a trained splat becomes a SOG file, a viewer page and a quality report."""
