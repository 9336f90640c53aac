"""The backing services in containers, for docker-compose.yml at the root.

files.py     what the containers are told, made from the same sources as everything else
mosquitto/   the broker's files, and what its container runs
localstack/  what LocalStack makes once it is ready
standins/    images under the official names, for machines that reach no image registry
"""
