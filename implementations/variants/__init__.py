"""Faster forms of an idiom, or the same source in another place."""
