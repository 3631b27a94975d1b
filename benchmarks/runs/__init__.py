"""A run: from options to cases, a plan, processes and a journal."""
