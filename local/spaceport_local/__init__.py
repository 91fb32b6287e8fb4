"""The one-machine cloud: MiniStack with our SageMaker plug-in and fixes, run in a process of its own."""
