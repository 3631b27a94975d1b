"""Checks of what the clock promises, on this machine."""
