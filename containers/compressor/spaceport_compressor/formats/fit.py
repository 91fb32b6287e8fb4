"""When a format can't hold a model."""


class DoesNotFitError(Exception):
    """The format can't hold this model, and says why; other formats may."""
