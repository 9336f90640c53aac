"""Mosquitto as IoTFlow configures it; see docs/mqtt-broker.md."""
