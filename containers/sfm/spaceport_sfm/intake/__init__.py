"""The photos as given in, checked and brought to the one form that everything after works on."""
