"""A fleet: one benchmark on many machines, in a folder that all of them see."""
