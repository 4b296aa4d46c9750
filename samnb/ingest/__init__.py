"""Adds pictures to the catalog, and manages images and datasets."""
