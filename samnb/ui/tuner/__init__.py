"""The widget that tunes a template."""
