//! The properties that are honoured, and those that change nothing about what a laptop does. Any other is named at the start.

use serde_json::Value;

use crate::template::{Template, text};

/// By the type of a resource or of a function's event: what is honoured, and what is without effect.
const KNOWN: [(&str, &[&str], &[&str]); 15] = [
    (
        "AWS::Serverless::Function",
        &["Environment", "EventInvokeConfig", "Events", "MemorySize", "Policies", "Timeout"],
        // The binary is Metadata's, and there is one version of it; a log goes where the laptop's does; no loop is taken for a
        // mistake.
        &[
            "AutoPublishAlias",
            "CodeUri",
            "DeploymentPreference",
            "LoggingConfig",
            "RecursiveLoop",
            "VersionDescription",
        ],
    ),
    (
        "AWS::Serverless::HttpApi",
        &["CorsConfiguration", "DefaultRouteSettings"],
        &["AccessLogSettings", "StageName", "Tags"],
    ),
    ("HttpApi", &["ApiId", "Method", "Path"], &[]),
    ("SQS", &["BatchSize", "FunctionResponseTypes", "Queue", "ScalingConfig"], &[]),
    (
        "DynamoDB",
        &[
            "BatchSize",
            "BisectBatchOnFunctionError",
            "DestinationConfig",
            "FunctionResponseTypes",
            "MaximumRetryAttempts",
            "StartingPosition",
            "Stream",
        ],
        &[],
    ),
    // A laptop's Lambda always takes an event: Scheduler has nothing to try again.
    (
        "ScheduleV2",
        &["Input", "ScheduleExpression", "State"],
        &["DeadLetterConfig", "OmitName", "RetryPolicy"],
    ),
    (
        "AWS::DynamoDB::Table",
        &[
            "AttributeDefinitions",
            "GlobalSecondaryIndexes",
            "KeySchema",
            "StreamSpecification",
            "TimeToLiveSpecification",
        ],
        &[
            "BillingMode",
            "DeletionProtectionEnabled",
            "PointInTimeRecoverySpecification",
            "SSESpecification",
            "Tags",
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
            "RedrivePolicy",
            "VisibilityTimeout",
        ],
        &["SqsManagedSseEnabled", "Tags"],
    ),
    ("AWS::SQS::QueuePolicy", &["PolicyDocument", "Queues"], &[]),
    ("AWS::Events::EventBus", &["Name"], &["Tags"]),
    // A rule has its logical id for a name here.
    ("AWS::Events::Rule", &["EventBusName", "EventPattern", "Targets"], &["Name"]),
    ("AWS::Events::Archive", &["EventPattern", "RetentionDays", "SourceArn"], &[]),
    (
        "AWS::S3::Bucket",
        &["CorsConfiguration", "NotificationConfiguration"],
        // No object is anybody's but the account's, and none is public.
        &[
            "BucketEncryption",
            "MetricsConfigurations",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
        ],
    ),
    ("AWS::SecretsManager::Secret", &["GenerateSecretString"], &["Description", "Tags"]),
    // What `Globals` say of all functions.
    (
        "Globals",
        &["Environment", "MemorySize", "Timeout"],
        &["Architectures", "DeploymentPreference", "Description", "Handler", "Runtime", "Tags", "Tracing"],
    ),
];

/// The properties of the template that nobody here knows. A type that is unknown as a whole is told of by whoever makes resources.
pub(super) fn unknown(template: &Template) -> Vec<String> {
    let mut unknown = of("Globals", "Globals", template.globals());
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
    let given = properties.as_object().into_iter().flatten().map(|(name, _)| name);
    let unknown =
        given.filter(|name| !honoured.contains(&name.as_str()) && !without_effect.contains(&name.as_str()));
    unknown.map(|name| format!("{id}: {name}")).collect()
}
