"""The data of the training tasks."""
