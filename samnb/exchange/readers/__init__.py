"""Readers for files of other tools, one module per format; `samnb.exchange.importing` calls them.

A reader knows no session: the image of an object is found later, by its name in the file.
"""
