"""AWS's services as servers on this machine: DynamoDB Local and ElasticMQ, both on Java."""
