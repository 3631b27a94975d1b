"""Worksheets with holes at the equations: what is right, wrong or not written yet."""
