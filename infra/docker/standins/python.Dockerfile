FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 libffi8 libsqlite3-0 libreadline8 libbz2-1.0 \
    liblzma5 zlib1g netbase tzdata && rm -rf /var/lib/apt/lists/*
COPY python /usr/local/
RUN rm -rf /usr/local/bin/pip* && ldconfig && ln -sf python3.13 /usr/local/bin/python && python -m ensurepip \
    && ln -sf pip3 /usr/local/bin/pip
ENV LANG=C.UTF-8
CMD ["python3"]
