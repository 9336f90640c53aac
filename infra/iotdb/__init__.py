"""A real IoTDB on this machine, without containers: jars from Maven, two small JVMs, settings that lose nothing."""
