"""SageMaker on one machine: its jobs as child processes with the same folder tree, logs and outcomes."""
