"""Structure from motion: a zip of photos in, a geo-registered, undistorted scene out.

Everything that decodes photos or touches pycolmap runs in a guarded child process (`reconstruction`), because
bad input can kill those libraries' process outright; what decodes HEIC and DNG in processes below that.
"""

# pycolmap exports a libz of its own: loaded before Python's, compressing aborts ("corrupted size").
import zlib  # noqa: F401
