"""An archive of results: what many runs on many machines have given, and questions to it."""
