"""How time is taken, and what intervals repeated times have."""
