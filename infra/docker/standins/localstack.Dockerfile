FROM python:3.13-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless curl && rm -rf /var/lib/apt/lists/*
COPY localstack.txt /
RUN pip install --no-cache-dir --no-deps -r /localstack.txt && python -m compileall -q /usr/local/lib/python3.13/site-packages || true
COPY dynamodb /opt/dynamodb
COPY localstack.py /opt/program.py
ENV GATEWAY_LISTEN=0.0.0.0:4566 LOCALSTACK_VOLUME_DIR=/var/lib/localstack DNS_ADDRESS=0 SKIP_SSL_CERT_DOWNLOAD=1
EXPOSE 4566
CMD ["python", "/opt/program.py"]
