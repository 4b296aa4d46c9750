"""What files of other tools say, a file for each format; `samnb.exchange.importing` is the door to them.

A reader knows nothing of a session: which image an object is on is found out later, by what the file calls it.
"""
