"""The records of a run: their form, the journal that holds them, and the rows made of them."""
