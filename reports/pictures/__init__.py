"""Pictures of what is computed and learned, drawn anew by `samegrad pictures NAME`."""
