"""What a user's objects and functions hold: every number, where it is, and how all is put back."""
