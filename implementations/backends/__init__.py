"""How arrays come to a framework, and back: once per framework, not once per network."""
