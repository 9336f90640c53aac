"""From the declarations to AWS: functions, rights, templates and the zip.

functions.py        what is deployed: a function for each endpoint, the consumer, the schedules
rights.py           what a declared "port:action" needs on AWS
policies.py         the policy of each function, written to .chalice/
configuration.py    .chalice/config.json, checked; chalice itself accepts any typo
split.py            makes plain chalice deploy those functions
gateway.py          API Gateway's own answers, in our words
dashboard.py        the CloudWatch dashboard
iot.py              AWS IoT Core: endpoint, authorizer, the rule that queues telemetry
template.py         queue, table, alarms and secrets: the template that chalice merges
deployment.py       chalice deploy of the local stage, to emulators
redeploy.py         makes a deployment change what differs only
archive.py          the zip: compiled, reproducible, complete
verify.py           what must hold of a finished template
stack.py            a stage as a CloudFormation stack: published, planned, changed, deleted
state.py            how a deployed stage is, and what is wrong with it
stagelogs.py        log lines of its functions
packaging.py        the environment that packages, with the Python that Lambda will run
lambda_process.py   a packaged function in a process of its own, as Lambda runs it
"""
