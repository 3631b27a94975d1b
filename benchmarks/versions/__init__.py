"""The same training step over versions of a library, and of Python."""
