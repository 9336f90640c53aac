"""Telemetry in and out of an installation as files, and from one store to another."""
