"""One technology each, behind the ports: only `wiring` and tests import from here."""
