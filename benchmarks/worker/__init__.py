"""The process that measures: it gates and times the cases of one implementation."""
