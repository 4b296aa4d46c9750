"""One file a revision; `samnb.catalog.migrations.REVISIONS` lists them in order."""
