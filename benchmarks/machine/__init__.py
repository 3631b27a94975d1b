"""Facts about the machine and the environment of processes."""
