"""Backups of an installation: one archive with every embedded database and the pepper.

`writing` makes an archive while the service runs, `reading` verifies one, `swap` puts its files in place.
"""
