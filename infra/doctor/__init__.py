"""What `doctor` looks at: the machine, the settings, the data directory, and the service and what it talks to.

Each check takes values and yields findings, so that a test can show it a broken world; `examination` knows where the
values come from.
"""
