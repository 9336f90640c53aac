"""The whole app deployed to LocalStack by plain chalice: each endpoint a running Lambda function."""
