"""What a plan of a deployment says, and where a template's files are."""

from infra.aws.stack import Change, located
from infra.commands.stage import planned


def test_files_beside_the_template_are_named_by_where_they_are() -> None:
    template = {
        "Resources": {
            "Function": {"Properties": {"CodeUri": "./deployment.zip"}},
            "Layer": {"Properties": {"ContentUri": "./elsewhere.zip"}},
            "Topic": {},
        }
    }
    finished = located(template, {"./deployment.zip": "s3://bucket/key.zip"})
    assert finished["Resources"]["Function"]["Properties"]["CodeUri"] == "s3://bucket/key.zip"
    assert finished["Resources"]["Layer"]["Properties"]["ContentUri"] == "./elsewhere.zip"
    assert template["Resources"]["Function"]["Properties"]["CodeUri"] == "./deployment.zip"


def test_a_plan_counts_what_is_new_and_names_what_is_changed_replaced_or_removed() -> None:
    shown = planned(
        [
            Change("Add", "A", "AWS::Lambda::Function"),
            Change("Add", "B", "AWS::Lambda::Function"),
            Change("Modify", "Records", "AWS::DynamoDB::Table", "True"),
            Change("Modify", "Alarm", "AWS::CloudWatch::Alarm"),
            Change("Remove", "Old", "AWS::SQS::Queue"),
        ]
    )
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["add", "AWS::Lambda::Function", "2"],
        ["modify", "AWS::CloudWatch::Alarm", "Alarm"],
        ["REPLACE", "AWS::DynamoDB::Table", "Records"],
        ["remove", "AWS::SQS::Queue", "Old"],
    ]
    assert planned([]) == "nothing would change"
