"""Other ways to get the gradient."""
