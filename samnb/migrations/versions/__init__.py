"""One file a revision; `samnb.migrations.REVISIONS` lists them in order."""
