"""Readers of data sets by field (images, tables, texts, cells); each returns a Source."""
