"""The rooms behind `samnb.widgets`."""
