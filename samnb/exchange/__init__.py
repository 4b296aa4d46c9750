"""Export of annotations to other tools, and import from them."""
