"""Points by stereo where SfM found none."""
