"""The formats annotations are exported in, a file for each; `samnb.exchange.export` is the door to them."""
