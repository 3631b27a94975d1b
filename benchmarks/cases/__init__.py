"""What is timed: cases, the presets that list them, and what a case costs in arithmetic."""
