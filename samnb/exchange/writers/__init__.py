"""Writers for the export formats, one module per format; `samnb.exchange.export` calls them."""
