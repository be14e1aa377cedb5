"""The Python client of Banquet."""
