"""Journals as tables, and what follows from them."""
