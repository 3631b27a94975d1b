"""What people use instead of an idiom."""
