"""The formats annotations are exported in, a file for each; `samnb.exports` is the door to them."""
