"""The pictures of a model that training leaves beside it, by their names in its output.

The compression stage publishes them: VIDEO and THUMBNAIL beside the delivered model, the folders beside the
trained one. None must be there: an older image of training makes none.
"""

VIDEO = "flight.mp4"
THUMBNAIL = "thumbnail.jpg"
HELD_OUT = "held_out"  # a folder: photos that training never saw, each beside the model from the same place
TRAINED_ON = "trained_on"  # the same of some that it learnt from, where none was held out: they flatter
