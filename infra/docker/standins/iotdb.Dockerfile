FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless && rm -rf /var/lib/apt/lists/*
COPY lib /iotdb/lib
COPY logback.xml /iotdb/conf/logback.xml
COPY iotdb.sh /iotdb/start.sh
WORKDIR /iotdb
VOLUME /iotdb/data
EXPOSE 6667
CMD ["bash", "/iotdb/start.sh"]
