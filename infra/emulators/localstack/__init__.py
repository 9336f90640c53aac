"""LocalStack from PyPI, without containers: API Gateway, Lambda, SQS, IAM and what else a deployment touches.

program.py      what runs in LocalStack's own environment: LocalStack, and our executor of Lambda functions
environment.py  one execution environment of a function: a process, and the Runtime API that it talks to
server.py       installs and starts all of it, with DynamoDB Local beside it
"""
