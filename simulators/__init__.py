"""Simulated devices and fleets."""
