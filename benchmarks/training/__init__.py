"""Training for real: tasks, their data, the loop, and a run of all implementations."""
