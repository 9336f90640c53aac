FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends mosquitto && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /mosquitto/data && chown mosquitto /mosquitto/data \
    && ln -s "$(find /usr/lib -name mosquitto_dynamic_security.so)" /usr/lib/mosquitto_dynamic_security.so
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME /mosquitto/data
EXPOSE 1883
CMD ["mosquitto"]
