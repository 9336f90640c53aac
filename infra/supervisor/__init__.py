"""Keeps the processes of one instance running. Standard library only, and small: it lives as long as they do.

Reading order: plan (which processes there are), child (one of them), loop (the supervisor itself), backoff,
output (where their words go), folder (locks and state on disk), background, signals, sockets, procfs.
"""
