"""A toy subject, as small as one can be: an engine whose world is the files of a folder."""
