"""MQTT: topics, the embedded gateway, and the bridge for external brokers."""
