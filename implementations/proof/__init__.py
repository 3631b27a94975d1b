"""Proofs: a file's own arithmetic over exact numbers, and what shrinks a failure."""
