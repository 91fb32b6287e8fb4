"""The page that shows the model, and how its camera moves."""
