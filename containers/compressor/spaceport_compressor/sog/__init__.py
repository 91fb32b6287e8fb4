"""SOG version 2: the file that is delivered, written and read."""
