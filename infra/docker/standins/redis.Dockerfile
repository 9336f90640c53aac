FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
WORKDIR /data
EXPOSE 6379
# As the official image: other containers may connect.
CMD ["redis-server", "--protected-mode", "no"]
