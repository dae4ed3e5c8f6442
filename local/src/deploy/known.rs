//! The properties that are honoured, and those that change nothing about what a laptop does. Any other is named at the start.
//!
//! A property is a path, `RedrivePolicy.maxReceiveCount`: lists have no place in it. `Tags.*` is everything below, and
//! `StageName=$default` that value alone.

use serde_json::Value;

use crate::template::{Template, text};

/// By the type of a resource or of a function's event: what is honoured, and what is without effect.
const KNOWN: [(&str, &[&str], &[&str]); 15] = [
    (
        "AWS::Serverless::Function",
        &[
            "Environment.Variables.*",
            "EventInvokeConfig.DestinationConfig.OnFailure.Destination",
            "EventInvokeConfig.DestinationConfig.OnFailure.Type=SQS",
            "EventInvokeConfig.MaximumEventAgeInSeconds",
            "EventInvokeConfig.MaximumRetryAttempts",
            "Events.*",
            "MemorySize",
            "Policies.*",
            "Timeout",
        ],
        // The binary is Metadata's, and there is one version of it; a log goes where the laptop's does; no loop is taken for a
        // mistake.
        &[
            "AutoPublishAlias",
            "CodeUri",
            "DeploymentPreference.*",
            "LoggingConfig.*",
            "RecursiveLoop",
            "VersionDescription",
        ],
    ),
    (
        "AWS::Serverless::HttpApi",
        &[
            "CorsConfiguration.AllowHeaders",
            "CorsConfiguration.AllowMethods",
            "CorsConfiguration.AllowOrigins",
            "CorsConfiguration.ExposeHeaders",
            "CorsConfiguration.MaxAge",
            "DefaultRouteSettings.ThrottlingBurstLimit",
            "DefaultRouteSettings.ThrottlingRateLimit",
            "StageName=$default",
        ],
        &["AccessLogSettings.*", "Tags.*"],
    ),
    ("HttpApi", &["ApiId", "Method", "Path"], &[]),
    ("SQS", &["BatchSize", "FunctionResponseTypes", "Queue", "ScalingConfig.MaximumConcurrency"], &[]),
    (
        "DynamoDB",
        &[
            "BatchSize",
            "BisectBatchOnFunctionError",
            "DestinationConfig.OnFailure.Destination",
            "DestinationConfig.OnFailure.Type=S3",
            "FunctionResponseTypes",
            "MaximumRetryAttempts",
            "StartingPosition=LATEST",
            "StartingPosition=TRIM_HORIZON",
            "Stream",
        ],
        &[],
    ),
    // A laptop's Lambda always takes an event: Scheduler has nothing to try again.
    (
        "ScheduleV2",
        &["Input", "ScheduleExpression", "State"],
        &["DeadLetterConfig.*", "OmitName", "RetryPolicy.*"],
    ),
    (
        "AWS::DynamoDB::Table",
        &[
            "AttributeDefinitions.AttributeName",
            "AttributeDefinitions.AttributeType",
            "GlobalSecondaryIndexes.IndexName",
            "GlobalSecondaryIndexes.KeySchema.AttributeName",
            "GlobalSecondaryIndexes.KeySchema.KeyType",
            "GlobalSecondaryIndexes.Projection.NonKeyAttributes",
            "GlobalSecondaryIndexes.Projection.ProjectionType",
            "KeySchema.AttributeName",
            "KeySchema.KeyType",
            "StreamSpecification.StreamViewType=NEW_AND_OLD_IMAGES",
            "TimeToLiveSpecification.AttributeName",
            "TimeToLiveSpecification.Enabled=true",
        ],
        &[
            "BillingMode=PAY_PER_REQUEST",
            "DeletionProtectionEnabled",
            "PointInTimeRecoverySpecification.*",
            "SSESpecification.SSEEnabled",
            "Tags.*",
        ],
    ),
    (
        "AWS::SQS::Queue",
        &[
            "ContentBasedDeduplication",
            "DelaySeconds",
            "FifoQueue",
            "MaximumMessageSize",
            "MessageRetentionPeriod",
            "ReceiveMessageWaitTimeSeconds",
            "RedrivePolicy.deadLetterTargetArn",
            "RedrivePolicy.maxReceiveCount",
            "VisibilityTimeout",
        ],
        &["SqsManagedSseEnabled", "Tags.*"],
    ),
    ("AWS::SQS::QueuePolicy", &["PolicyDocument.*", "Queues"], &[]),
    ("AWS::Events::EventBus", &["Name"], &["Tags.*"]),
    // A rule has its logical id for a name here.
    (
        "AWS::Events::Rule",
        &[
            "EventBusName",
            "EventPattern.*",
            "Targets.Arn",
            "Targets.DeadLetterConfig.Arn",
            "Targets.Id",
            "Targets.RetryPolicy.MaximumEventAgeInSeconds",
            "Targets.RetryPolicy.MaximumRetryAttempts",
        ],
        &["Name"],
    ),
    ("AWS::Events::Archive", &["EventPattern.*", "RetentionDays", "SourceArn"], &[]),
    (
        "AWS::S3::Bucket",
        &[
            "CorsConfiguration.CorsRules.AllowedHeaders",
            "CorsConfiguration.CorsRules.AllowedMethods",
            "CorsConfiguration.CorsRules.AllowedOrigins",
            "CorsConfiguration.CorsRules.ExposedHeaders",
            "CorsConfiguration.CorsRules.MaxAge",
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled",
        ],
        // No object is anybody's but the account's, and none is public.
        &[
            "BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault.SSEAlgorithm=AES256",
            "MetricsConfigurations.*",
            "OwnershipControls.Rules.ObjectOwnership=BucketOwnerEnforced",
            "PublicAccessBlockConfiguration.*",
            "Tags.*",
        ],
    ),
    ("AWS::SecretsManager::Secret", &["GenerateSecretString.*"], &["Description", "Tags.*"]),
    // What `Globals` say of all functions.
    (
        "Globals",
        &["Environment.Variables.*", "MemorySize", "Timeout"],
        &[
            "Architectures",
            "DeploymentPreference.*",
            "Description",
            "Handler",
            "Runtime",
            "Tags.*",
            "Tracing",
        ],
    ),
];

/// The properties of the template that nobody here knows. A type that is unknown as a whole is told of by whoever makes resources.
pub(super) fn unknown(template: &Template) -> Vec<String> {
    let mut unknown: Vec<_> = template.other_globals().map(|name| format!("Globals: {name}")).collect();
    unknown.extend(of("Globals", "Globals", template.globals()));
    for (id, resource) in template.resources() {
        unknown.extend(of(id, &text(&resource["Type"]), &resource["Properties"]));
        for (event, source) in resource["Properties"]["Events"].as_object().into_iter().flatten() {
            unknown.extend(of(&format!("{id}.{event}"), &text(&source["Type"]), &source["Properties"]));
        }
    }
    unknown
}

fn of(id: &str, kind: &str, properties: &Value) -> Vec<String> {
    let Some((_, honoured, without_effect)) = KNOWN.iter().find(|(known, ..)| *known == kind) else {
        return Vec::new();
    };
    let known: Vec<(&str, Option<&str>)> = honoured
        .iter()
        .chain(*without_effect)
        .map(|known| known.split_once('=').map_or((*known, None), |(known, wanted)| (known, Some(wanted))))
        .collect();
    let is_known = |(path, value): &(String, &Value)| {
        known.iter().any(|(known, wanted)| match wanted {
            Some(wanted) => known == path && text(value) == *wanted,
            None => known.strip_suffix(".*").map_or(known == path, |known| is_below(path, known)),
        })
    };
    // Named as a whole where nothing of it is known.
    let named = |path: &str| {
        let ends = path.match_indices('.').map(|(end, _)| end);
        let mut wholes = ends.map(|end| &path[..end]);
        let whole = wholes.find(|whole| !known.iter().any(|(known, _)| is_below(known, whole)));
        format!("{id}: {}", whole.unwrap_or(path))
    };
    let unknown = paths(properties).into_iter().filter(|property| !is_known(property));
    let mut unknown: Vec<String> = unknown.map(|(path, _)| named(&path)).collect();
    unknown.dedup();
    unknown
}

fn is_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Every value of these properties with its path, and both of an `Fn::If`. What another intrinsic function comes to is one value.
pub(super) fn paths(properties: &Value) -> Vec<(String, &Value)> {
    let mut paths = Vec::new();
    walk(String::new(), properties, &mut paths);
    paths
}

fn walk<'a>(path: String, value: &'a Value, paths: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Null => {}
        Value::Array(values) => values.iter().for_each(|value| walk(path.clone(), value, paths)),
        Value::Object(object) => match object.iter().next().filter(|_| object.len() == 1) {
            Some((name, Value::Array(parts))) if name == "Fn::If" => {
                parts.iter().skip(1).for_each(|part| walk(path.clone(), part, paths));
            }
            Some((name, argument)) if name == "Ref" || name.starts_with("Fn::") => {
                if argument != "AWS::NoValue" {
                    paths.push((path, value));
                }
            }
            _ => {
                for (name, value) in object {
                    let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(below, value, paths);
                }
            }
        },
        scalar => paths.push((path, scalar)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_honoured_is_named_wherever_it_stands() {
        let table = "AWS::DynamoDB::Table";
        for (kind, properties, named) in [
            (table, json!({"TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": true}}), ""),
            (
                table,
                json!({"TimeToLiveSpecification": {"Enabled": false}}),
                "X: TimeToLiveSpecification.Enabled",
            ),
            (
                table,
                json!({"SSESpecification": {"KMSMasterKeyId": "k"}}),
                "X: SSESpecification.KMSMasterKeyId",
            ),
            (table, json!({"Tags": [{"Key": "a", "Value": {"Ref": "B"}}]}), ""),
            (
                "AWS::Events::Rule",
                json!({"Targets": [{"Arn": "a"}, {"InputPath": "$.b"}]}),
                "X: Targets.InputPath",
            ),
            ("SQS", json!({"FilterCriteria": {"Filters": [{"Pattern": "p"}]}}), "X: FilterCriteria"),
            ("SQS", json!({"FilterCriteria": {"Ref": "AWS::NoValue"}}), ""),
            (
                "AWS::Serverless::HttpApi",
                json!({"StageName": {"Fn::If": ["C", "$default", "v1"]}}),
                "X: StageName",
            ),
            ("AWS::Serverless::HttpApi", json!({"CorsConfiguration": true}), "X: CorsConfiguration"),
        ] {
            assert_eq!(of("X", kind, &properties).join(", "), named, "{properties}");
        }
    }
}
