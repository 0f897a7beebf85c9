"""A study's results as one file to cite: an RO-Crate, checked and computed again from itself."""
