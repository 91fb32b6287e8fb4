"""Structure from motion: a zip of photos in, a geo-registered, undistorted scene out.

The program (`__main__`) unpacks and normalises the photos itself; everything that touches pycolmap runs
in a guarded child process (`reconstruction`), because bad input can kill that library's process outright.
"""
