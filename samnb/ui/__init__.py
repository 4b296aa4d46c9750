"""The widgets behind `samnb.widgets`."""
