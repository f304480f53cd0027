"""Samples that stay in their file: reading, splitting, surveying and shuffling blocks of rows."""
