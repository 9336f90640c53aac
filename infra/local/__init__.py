"""Local stand-ins for what AWS runs: API Gateway, event source mapping, schedules, and a supervisor."""
