"""What makes a machine's numbers misleading or slow."""
