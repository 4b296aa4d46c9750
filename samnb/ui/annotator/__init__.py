"""The annotator widget and its parts."""
