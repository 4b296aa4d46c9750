"""Pictures into the catalog, and the images that are there."""
