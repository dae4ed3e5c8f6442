#!/usr/bin/env python3
"""What CloudFormation gets: template.yaml after the SAM transform, counted and checked for each stage.

    python tests/contract/resources.py

CloudFormation takes 500 resources a stack, and one function of the template becomes up to seven of them. The
parameters are those that samconfig.toml deploys the stage with.
"""

import copy
import graphlib
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import boto3
import tomlkit
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("dev", "staging", "prod")

# CloudFormation's limit is 500; the rest is room for a release.
LIMIT = 450
# As many functions as the whole system will have.
FUNCTIONS = 65
# An HTTP API waits 30 s for its function.
MAX_TIMEOUT = 29

# What comes with each function and its queue; of all else there is one a domain, an entity or a stack.
PER_FUNCTION = {
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
}

# Statements that no finer right exists for: (role, action) and why.
WIDE_STATEMENTS = {}

# AWS's own policies, which allow on every resource, and why a role has them.
MANAGED_POLICIES = {
    "service-role/AWSLambdaBasicExecutionRole": "SAM gives it to each role that it makes: writing logs",
    "AWSXrayWriteOnlyAccess": "SAM gives it for Tracing: X-Ray has no resources to name",
    "service-role/AWSLambdaSQSQueueExecutionRole": "SAM gives it for an SQS event: reading the queue",
    "service-role/AWSLambdaDynamoDBExecutionRole": "SAM gives it for a DynamoDB event: reading the stream",
    "service-role/AWSCodeDeployRoleForLambda": "SAM gives it to CodeDeploy: moving aliases, reading alarms",
}

# On these alarms, by the names that follow the stack's, a deployment is rolled back.
ROLLBACK = {"${AWS::StackName}-api-faults", "${AWS::StackName}-api-latency"}

NOTHING = object()


class Stack:
    """The transformed template as one stage deploys it: parameters filled in, conditions decided."""

    def __init__(self, source, overrides):
        self.parameters = {"AWS::NoValue": NOTHING}
        for name, parameter in source["Parameters"].items():
            value = overrides.get(name, parameter.get("Default"))
            if value is None:
                raise SystemExit(f"samconfig.toml gives no value to parameter {name}, which has no default")
            # CloudFormation, too, hands a list to the transform.
            is_list = parameter["Type"].startswith(("CommaDelimitedList", "List<"))
            self.parameters[name] = value.split(",") if is_list else value
        self.source = source
        self.conditions = source.get("Conditions", {})
        template = transform(source, {k: v for k, v in self.parameters.items() if v is not NOTHING})
        self.resources = {
            name: self.resolve(resource)
            for name, resource in template["Resources"].items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }

    def holds(self, condition):
        """Whether a condition, by its name or written out, is true in this stage."""
        if isinstance(condition, str):
            return self.holds(self.conditions[condition])
        ((function, argument),) = condition.items()
        match function:
            case "Condition":
                return self.holds(argument)
            case "Fn::Equals":
                one, other = (self.resolve(side) for side in argument)
                return str(one) == str(other)
            case "Fn::Not":
                return not self.holds(argument[0])
            case "Fn::And":
                return all(map(self.holds, argument))
            case "Fn::Or":
                return any(map(self.holds, argument))
        raise SystemExit(f"this test cannot decide {function} in a condition")

    def resolve(self, value):
        """`value` with the references to parameters and the Ifs in it replaced by what they stand for."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if set(value) == {"Ref"} and value["Ref"] in self.parameters:
            return self.parameters[value["Ref"]]
        if set(value) == {"Fn::If"}:
            condition, yes, no = value["Fn::If"]
            return self.resolve(yes if self.holds(condition) else no)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NOTHING}

    def of(self, kind):
        """The resources of a type: (name, properties)."""
        return [(n, r.get("Properties", {})) for n, r in self.resources.items() if r["Type"] == kind]

    def projection(self):
        """How many resources this will be with all functions.

        What comes with a function grows with their number. The rest grows too while domains are still to come,
        but slower: today's rest once more, less with each function that is there already.
        """
        kinds = Counter(r["Type"] for r in self.resources.values())
        functions = kinds["AWS::Lambda::Function"]
        if functions >= FUNCTIONS:
            return kinds.total()
        per_function = sum(n for kind, n in kinds.items() if kind in PER_FUNCTION)
        rest = kinds.total() - per_function
        return round(per_function * FUNCTIONS / functions + rest * (2 - functions / FUNCTIONS))


def transform(source, parameters):
    """`source` as the SAM transform of CloudFormation turns it out, once `sam package` has uploaded the code."""
    template = copy.deepcopy(source)
    uploaded = "s3://bucket/key"
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = uploaded
    session = boto3.session.Session(region_name=os.environ["AWS_DEFAULT_REGION"])
    # No names of managed policies stand in the template, so there are none to look up.
    translator = Translator({}, Parser(), boto_session=session)
    try:
        return translator.translate(template, parameters)
    except InvalidDocumentException as error:
        raise SystemExit("\n".join(f"the SAM transform: {cause.message}" for cause in error.causes)) from None
    finally:
        # Nowhere, but it complains when nobody did.
        translator.metrics.publish()


def target(value):
    """The resource that a Ref or a GetAtt names, else None."""
    if isinstance(value, dict):
        if "Ref" in value:
            return value["Ref"]
        if "Fn::GetAtt" in value:
            attribute = value["Fn::GetAtt"]
            return attribute.split(".")[0] if isinstance(attribute, str) else attribute[0]
    return None


def listed(value):
    """A list of what IAM takes alone or as a list."""
    return value if isinstance(value, list) else [value]


def references(value):
    """All names that `value` refers to, which CloudFormation therefore makes before it."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if named := target(value):
            yield named
        for key, item in value.items():
            if key == "Fn::Sub":
                yield from re.findall(r"\$\{([A-Za-z0-9]+)", item if isinstance(item, str) else item[0])
            if key == "DependsOn":
                yield from listed(item)
            yield from references(item)


def inputs(source, value):
    """The parameters that `value` depends on, through conditions and custom resources too."""
    for name in references(value):
        if name in source["Parameters"]:
            yield name
        elif source["Resources"].get(name, {}).get("Type", "").startswith("Custom::"):
            yield from inputs(source, source["Resources"][name]["Properties"])
    for name in conditions(value):
        yield from inputs(source, source["Conditions"][name])


def conditions(value):
    """The conditions of all Ifs in `value`."""
    if isinstance(value, list):
        for item in value:
            yield from conditions(item)
    elif isinstance(value, dict):
        if "Fn::If" in value:
            yield value["Fn::If"][0]
        yield from conditions(list(value.values()))


def dead_letter_queues(value):
    """The queues that anything in `value` names as the place for what failed."""
    if isinstance(value, list):
        for item in value:
            yield from dead_letter_queues(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "deadLetterTargetArn":
                yield target(item)
            elif key in ("DeadLetterConfig", "DeadLetterQueue"):
                yield target(item.get("Arn", item.get("TargetArn")))
            elif key == "OnFailure":
                yield target(item.get("Destination"))
            else:
                yield from dead_letter_queues(item)


def circles(stack):
    # cfn-lint does not see those that go through a custom resource.
    graph = {name: set(references(resource)) for name, resource in stack.resources.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield f"a circle of resources that wait for each other: {' needs '.join(reversed(error.args[1]))}"


def functions(stack):
    groups = {name for name, _ in stack.of("AWS::Logs::LogGroup")}
    for name, properties in stack.of("AWS::Lambda::Function"):
        group = target(properties.get("LoggingConfig", {}).get("LogGroup"))
        if group not in groups:
            yield f"function {name} logs to no log group of this template: give it a LoggingConfig"
        timeout = properties.get("Timeout", 3)
        if int(timeout) > MAX_TIMEOUT:
            yield f"function {name} has a timeout of {timeout} s: the gateway gives up after {MAX_TIMEOUT} s"


def mappings(stack):
    queues = dict(stack.of("AWS::SQS::Queue"))
    timeouts = {name: int(p.get("Timeout", 3)) for name, p in stack.of("AWS::Lambda::Function")}
    for name, properties in stack.of("AWS::Lambda::EventSourceMapping"):
        if "ReportBatchItemFailures" not in properties.get("FunctionResponseTypes", []):
            yield f"mapping {name} fails whole batches: FunctionResponseTypes wants ReportBatchItemFailures"
        source = target(properties["EventSourceArn"])
        if source in queues:
            visibility = int(queues[source].get("VisibilityTimeout", 30))
            timeout = timeouts.get(target(properties["FunctionName"]), 0)
            if visibility < timeout:
                yield f"queue {source} shows a message again after {visibility} s, its function runs {timeout} s"
        else:
            if int(properties.get("MaximumRetryAttempts", -1)) < 0:
                yield f"mapping {name} tries a bad record until it expires: give it MaximumRetryAttempts"
            if not properties.get("DestinationConfig", {}).get("OnFailure"):
                yield f"mapping {name} drops what it cannot handle: give it an OnFailure destination"


def queues(stack):
    dead_letters = set(dead_letter_queues(list(stack.resources.values())))
    for name, properties in stack.of("AWS::SQS::Queue"):
        if name not in dead_letters and not properties.get("RedrivePolicy"):
            yield f"queue {name} has no RedrivePolicy, and nothing names it as a dead-letter queue"


def watched(stack):
    """What the alarms read: a metric's name and the value of one of its dimensions."""
    for _, alarm in stack.of("AWS::CloudWatch::Alarm"):
        metrics = [item["MetricStat"]["Metric"] for item in alarm.get("Metrics", []) if "MetricStat" in item]
        for metric in metrics or [alarm]:
            for dimension in metric.get("Dimensions", []):
                yield metric["MetricName"], target(dimension["Value"]) or str(dimension["Value"])


def alarms(stack):
    for name, properties in stack.of("AWS::CloudWatch::Alarm"):
        for wanted in ("AlarmDescription", "AlarmActions", "OKActions"):
            if not properties.get(wanted):
                yield f"alarm {name} has no {wanted}"
        if properties.get("TreatMissingData") != "notBreaching":
            yield f"alarm {name} fires or forgets where there is nothing to measure: TreatMissingData: notBreaching"

    queues = dict(stack.of("AWS::SQS::Queue"))
    dead_letters = set(dead_letter_queues(list(stack.resources.values()))) & set(queues)
    wanted = {("ApproximateNumberOfMessagesVisible", queue) for queue in dead_letters}
    wanted |= {("ApproximateAgeOfOldestMessage", queue) for queue in set(queues) - dead_letters}
    for name, rule in stack.of("AWS::Events::Rule"):
        # The Ref of a rule is its name on the account's own bus alone.
        wanted.add(("InvocationsFailedToBeSentToDlq", str(rule["Name"]) if "EventBusName" in rule else name))
    for _, mapping in stack.of("AWS::Lambda::EventSourceMapping"):
        if target(mapping["EventSourceArn"]) not in queues:
            wanted.add(("IteratorAge", target(mapping["FunctionName"])))
    for _, asynchronous in stack.of("AWS::Lambda::EventSourceMapping") + stack.of("AWS::Lambda::EventInvokeConfig"):
        if asynchronous.get("DestinationConfig"):
            wanted.add(("DestinationDeliveryFailures", target(asynchronous["FunctionName"])))
    for metric, of in sorted(wanted - set(watched(stack))):
        yield f"no alarm reads {metric} of {of}"


def aliases(stack):
    """What the API calls is a version that was published, and in prod gradually."""
    alias_of = {name: target(p["FunctionName"]) for name, p in stack.of("AWS::Lambda::Alias")}
    called = set()
    for _, api in stack.of("AWS::ApiGatewayV2::Api"):
        # SAM writes the functions of a path as the API calls them.
        called |= set(re.findall(r"functions/\$\{(\w+)(?:\.Arn)?\}/invocations", str(api["Body"])))
    for name, permission in stack.of("AWS::Lambda::Permission"):
        if permission["Principal"] == "apigateway.amazonaws.com":
            called.add(target(permission["FunctionName"]))
    for name in sorted(called - set(alias_of)):
        yield f"the API calls {name}, which is no alias: give the function AutoPublishAlias"
    for name in sorted(set(alias_of) - called):
        yield f"the API does not call alias {name}, and nothing else is to"

    # A version keeps its variables: it has to be another when one of them is.
    for function in alias_of.values():
        properties = stack.source["Resources"][function]["Properties"]
        variables = set(inputs(stack.source, properties.get("Environment", {})))
        described = set(inputs(stack.source, properties.get("VersionDescription", "")))
        for name in sorted(variables - described):
            yield f"{function} keeps its variables when {name} changes: name it in VersionDescription"
        for name in sorted(described - variables):
            yield f"{function} has nothing to publish when {name} changes: VersionDescription names it in vain"

    groups = dict(stack.of("AWS::CodeDeploy::DeploymentGroup"))
    if stack.parameters["Stage"] != "prod":
        for name in groups:
            yield f"{name} deploys gradually, which is for prod alone"
        return
    names = {str(p["AlarmName"]) for _, p in stack.of("AWS::CloudWatch::Alarm") if "AlarmName" in p}
    wanted = {str({"Fn::Sub": name}) for name in ROLLBACK}
    for name in sorted(wanted - names):
        yield f"no alarm has the name {name}, on which deployments are rolled back"
    for name in alias_of:
        update = stack.resources[name].get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate", {})
        group = groups.get(target(update.get("DeploymentGroupName")))
        if group is None:
            yield f"alias {name} moves at once in prod: give the function a DeploymentPreference"
            continue
        read = group.get("AlarmConfiguration", {}).get("Alarms", [])
        if {str(alarm["Name"]) for alarm in read} != wanted or not group["AutoRollbackConfiguration"]["Enabled"]:
            yield f"a deployment of {name} is not rolled back on {' and '.join(sorted(ROLLBACK))}"


def dashboards(stack):
    every = {name for name, _ in stack.of("AWS::CloudWatch::Alarm")}
    for name, properties in stack.of("AWS::CloudWatch::Dashboard"):
        body = properties["DashboardBody"]["Fn::Sub"]
        try:
            json.loads(re.sub(r"\$\{[^}]+\}", "x", body))
        except ValueError as error:
            yield f"the body of dashboard {name} is no JSON: {error}"
        for alarm in sorted(every - set(re.findall(r"\$\{(\w+)\.Arn\}", body))):
            yield f"alarm {alarm} is not on dashboard {name}"


def roles(stack):
    inline = [
        (name, policy["PolicyDocument"])
        for name, properties in stack.of("AWS::IAM::Role")
        for policy in properties.get("Policies", [])
    ]
    separate = [
        (name, properties["PolicyDocument"])
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
        for name, properties in stack.of(kind)
    ]
    for name, document in inline + separate:
        for statement in listed(document["Statement"]):
            if statement["Effect"] != "Allow":
                continue
            actions = listed(statement.get("Action", "*"))
            for action in actions:
                if "*" in action:
                    yield f"role {name} allows {action}: name the actions"
            if "*" in listed(statement.get("Resource", "*")):
                for action in actions:
                    if (name, action) not in WIDE_STATEMENTS:
                        yield f"role {name} allows {action} on *: name the resources, or explain it in this test"

    for name, properties in stack.of("AWS::IAM::Role"):
        for arn in properties.get("ManagedPolicyArns", []):
            policy = str(arn).split(":policy/")[-1]
            if policy not in MANAGED_POLICIES:
                yield f"role {name} has {policy}: write the statements out, or explain it in this test"


def numbers(stack):
    total, projection = len(stack.resources), stack.projection()
    if total >= LIMIT:
        yield f"{total} resources are too many: fewer than {LIMIT}"
    if projection > LIMIT:
        yield f"{FUNCTIONS} functions of this shape are {projection} resources: at most {LIMIT}"


def overrides(config, stage):
    """The parameters that samconfig.toml deploys a stage with."""
    try:
        parameters = config[stage]["deploy"]["parameters"]["parameter_overrides"]
    except KeyError as missing:
        raise SystemExit(f"samconfig.toml has no {missing} for {stage}") from None
    return dict(parameter.split("=", 1) for parameter in parameters)


def table(stacks):
    """The resources by type and stage, the most frequent first."""
    counts = {stage: Counter(r["Type"] for r in s.resources.values()) for stage, s in stacks.items()}
    kinds = sorted(set().union(*counts.values()), key=lambda kind: (-counts["prod"][kind], kind))
    rows = [(kind, *(counts[stage][kind] for stage in stacks)) for kind in kinds]
    rows.append(("total", *(count.total() for count in counts.values())))
    rows.append((f"with {FUNCTIONS} functions", *(stack.projection() for stack in stacks.values())))
    rows.append(("limit", *(LIMIT for _ in stacks)))
    yield f"{'':36}" + "".join(f"{stage:>9}" for stage in stacks)
    for label, *values in rows:
        yield f"{label:36}" + "".join(f"{value:9}" for value in values)


def main():
    source = yaml_parse((ROOT / "template.yaml").read_text())
    config = tomlkit.parse((ROOT / "samconfig.toml").read_text()).unwrap()
    stacks = {stage: Stack(source, overrides(config, stage)) for stage in STAGES}
    print("\n".join(table(stacks)))

    found = {}
    for stage, stack in stacks.items():
        for check in (numbers, circles, functions, mappings, queues, alarms, aliases, dashboards, roles):
            for complaint in check(stack):
                found.setdefault(complaint, []).append(stage)
    for complaint, stages in found.items():
        print(f"{', '.join(stages)}: {complaint}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
