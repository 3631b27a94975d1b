"""Each claim about the clock, measured."""
