"""Which photos are compared with which: a strategy a module."""
