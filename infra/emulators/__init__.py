"""AWS's services as servers on this machine.

recipes.py    how DynamoDB Local, ElasticMQ and moto are started, server.py starts one of them
localstack/   LocalStack, whose Lambda functions are processes
stacks.py     emulators with queue and table, and the settings by which programs find both
serve.py      a stack in the background
"""
