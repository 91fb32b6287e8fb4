"""`report.html`: tells a drone pilot how good the model is, in one file without a script."""
