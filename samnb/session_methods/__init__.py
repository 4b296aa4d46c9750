"""The public methods of `samnb.session.Session`: a module for each subject, with a class that `Session` inherits from.

They are signatures, docstrings and a call of the service that does the work: the manual of the package.
"""
