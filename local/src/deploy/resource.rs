//! The resources that a laptop makes, and how.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription,
    TimeToLiveSpecification,
};
use aws_sdk_eventbridge::types::{DeadLetterConfig, RetryPolicy, Target};
use aws_sdk_s3::types::{CorsConfiguration, CorsRule, EventBridgeConfiguration, NotificationConfiguration};
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError;
use aws_sdk_sqs::types::QueueAttributeName;
use local_aws::iam::Statement;
use serde_json::{Value, json};

use super::Deployment;
use crate::gateway::{Cors, Throttle};
use crate::template::{self, Unresolved, is_true, text};

/// Resources that change nothing about what a laptop does: it has no metrics, sends no real mail, and nobody reaches its buckets from elsewhere.
pub(super) const WITHOUT_EFFECT: [&str; 7] = [
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Logs::LogGroup",
    "AWS::SES::ConfigurationSet",
    "AWS::SES::EmailIdentity",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
];

impl Deployment<'_> {
    pub(super) async fn resource(
        &mut self,
        id: &str,
        kind: &str,
        properties: &Value,
    ) -> Result<(), Unresolved> {
        match kind {
            "AWS::DynamoDB::Table" => self.table(id, properties).await,
            "AWS::SQS::Queue" => self.queue(id, properties).await,
            "AWS::SQS::QueuePolicy" => self.queue_policy(id, properties).await,
            "AWS::Events::EventBus" => self.bus(id, properties).await,
            "AWS::Events::Rule" => self.rule(id, properties).await,
            "AWS::Events::Archive" => self.archive(id, properties).await,
            "AWS::S3::Bucket" => self.bucket(id, properties).await,
            "AWS::S3::BucketPolicy" => {
                // Whoever comes is let come without TLS here. Nothing else is held to such a policy.
                let statements = properties["PolicyDocument"]["Statement"].as_array().into_iter().flatten();
                let without_tls = json!({"Bool": {"aws:SecureTransport": false}});
                if statements.into_iter().any(|statement| statement["Condition"] != without_tls) {
                    self.stack.ignored.push(format!("{id}: the statements of a bucket's policy"));
                }
                self.stand_in(id);
                Ok(())
            }
            "AWS::SecretsManager::Secret" => self.secret(id, properties).await,
            "AWS::Serverless::HttpApi" => {
                self.stack.cors = Cors::read(&properties["CorsConfiguration"]);
                self.stack.throttle = Throttle::read(&properties["DefaultRouteSettings"]);
                self.scope.define(id, id, &[]);
                Ok(())
            }
            _ => {
                self.stack.ignored.push(format!("{id}: {kind}"));
                self.stand_in(id);
                Ok(())
            }
        }
    }

    /// Has a resource that is not made be there for those that refer to it.
    pub(super) fn stand_in(&mut self, id: &str) {
        let arn = format!("arn:aws:local:{}:{}:{id}", local_aws::REGION, local_aws::ACCOUNT);
        self.scope.define(id, id, &[("Arn", &arn)]);
    }

    async fn table(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        let client = self.aws.dynamodb();
        let table = match client.describe_table().table_name(id).send().await {
            Ok(found) => {
                let same = found.table.as_ref().is_some_and(|table| is_as_described(table, properties));
                if !same {
                    let reason = "is there already with other keys, indexes or stream than the template says: remove the data directory";
                    return Err(Unresolved::Invalid(reason.to_owned()));
                }
                found.table
            }
            Err(error) if code(&error) == Some("ResourceNotFoundException") => {
                let mut create = client
                    .create_table()
                    .table_name(id)
                    .billing_mode(BillingMode::PayPerRequest)
                    .set_attribute_definitions(Some(each(&properties["AttributeDefinitions"], attribute)?))
                    .set_key_schema(Some(each(&properties["KeySchema"], key)?));
                if !properties["GlobalSecondaryIndexes"].is_null() {
                    let indexes = each(&properties["GlobalSecondaryIndexes"], index)?;
                    create = create.set_global_secondary_indexes(Some(indexes));
                }
                if let Some(view) = properties["StreamSpecification"]["StreamViewType"].as_str() {
                    let view = StreamViewType::from(view);
                    let stream =
                        StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build();
                    create = create.stream_specification(stream.map_err(invalid)?);
                }
                create.send().await.map_err(refused)?.table_description
            }
            Err(error) => return Err(refused(error)),
        };
        if let Some(name) = properties["TimeToLiveSpecification"]["AttributeName"].as_str() {
            let ttl = TimeToLiveSpecification::builder()
                .enabled(true)
                .attribute_name(name)
                .build()
                .map_err(invalid)?;
            let update =
                client.update_time_to_live().table_name(id).time_to_live_specification(ttl).send().await;
            // It says so when it is on already.
            if let Err(error) = update
                && code(&error) != Some("ValidationException")
            {
                return Err(refused(error));
            }
        }
        let table = table.unwrap_or_else(|| TableDescription::builder().build());
        // As AWS writes it, and rights are written for it: dynoxide has a region of its own.
        let arn = format!("arn:aws:dynamodb:{}:{}:table/{id}", local_aws::REGION, local_aws::ACCOUNT);
        let stream = table.latest_stream_arn().map(|stream| ("StreamArn", stream));
        let attributes: Vec<_> = [("Arn", arn.as_str())].into_iter().chain(stream).collect();
        self.scope.define(id, id, &attributes);
        Ok(())
    }

    async fn queue(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        let client = self.aws.sqs();
        let attributes: Vec<(QueueAttributeName, String)> = [
            ("VisibilityTimeout", QueueAttributeName::VisibilityTimeout),
            ("DelaySeconds", QueueAttributeName::DelaySeconds),
            ("MessageRetentionPeriod", QueueAttributeName::MessageRetentionPeriod),
            ("MaximumMessageSize", QueueAttributeName::MaximumMessageSize),
            ("ReceiveMessageWaitTimeSeconds", QueueAttributeName::ReceiveMessageWaitTimeSeconds),
            ("FifoQueue", QueueAttributeName::FifoQueue),
            ("ContentBasedDeduplication", QueueAttributeName::ContentBasedDeduplication),
            ("RedrivePolicy", QueueAttributeName::RedrivePolicy),
        ]
        .into_iter()
        .filter_map(|(property, name)| Some((name, text(properties.get(property)?))))
        .collect();
        let found = client.get_queue_url().queue_name(id).send().await;
        let url = match found {
            Ok(found) => {
                let url = found.queue_url;
                let set = client.set_queue_attributes().set_queue_url(url.clone());
                set.set_attributes(Some(attributes.into_iter().collect())).send().await.map_err(refused)?;
                url
            }
            Err(error)
                if !error.as_service_error().is_some_and(GetQueueUrlError::is_queue_does_not_exist) =>
            {
                return Err(refused(error));
            }
            Err(_) => {
                let create = client.create_queue().queue_name(id);
                let create = create.set_attributes(Some(attributes.into_iter().collect()));
                create.send().await.map_err(refused)?.queue_url
            }
        };
        let url = url.unwrap_or_default();
        let asked =
            client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
        let answer = asked.send().await.map_err(refused)?;
        let arn = answer.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn)).cloned();
        self.scope.define(id, &url, &[("Arn", &arn.unwrap_or_default()), ("QueueName", id)]);
        Ok(())
    }

    async fn queue_policy(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        // What cannot be evaluated is said now, and not when an event is on its way.
        Statement::read_all(&properties["PolicyDocument"]).map_err(invalid)?;
        let policy = properties["PolicyDocument"].to_string();
        for url in properties["Queues"].as_array().into_iter().flatten() {
            let set = self.aws.sqs().set_queue_attributes().queue_url(text(url));
            set.attributes(QueueAttributeName::Policy, &policy).send().await.map_err(refused)?;
        }
        self.scope.define(id, id, &[]);
        Ok(())
    }

    async fn bus(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        let name = text(&properties["Name"]);
        let created = self.aws.eventbridge().create_event_bus().name(&name).send().await;
        if let Err(error) = created
            && code(&error) != Some("ResourceAlreadyExistsException")
        {
            return Err(refused(error));
        }
        let arn = format!("arn:aws:events:{}:{}:event-bus/{name}", local_aws::REGION, local_aws::ACCOUNT);
        self.scope.define(id, &name, &[("Arn", &arn), ("Name", &name)]);
        Ok(())
    }

    async fn rule(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        let client = self.aws.eventbridge();
        let bus = properties.get("EventBusName").map_or_else(|| "default".to_owned(), text);
        let put = client
            .put_rule()
            .name(id)
            .event_bus_name(&bus)
            .event_pattern(properties["EventPattern"].to_string());
        let rule = put.send().await.map_err(refused)?;
        let targets = each(&properties["Targets"], target)?;
        let put = client.put_targets().rule(id).event_bus_name(&bus).set_targets(Some(targets));
        let answer = put.send().await.map_err(refused)?;
        if let Some(entry) = answer.failed_entries().first() {
            return Err(Unresolved::Invalid(format!(
                "a target was refused: {}",
                entry.error_message().unwrap_or_default()
            )));
        }
        self.scope.define(id, id, &[("Arn", rule.rule_arn().unwrap_or_default())]);
        Ok(())
    }

    async fn archive(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        let days = template::number(&properties["RetentionDays"]);
        let pattern = properties.get("EventPattern").map(ToString::to_string);
        let create = self.aws.eventbridge().create_archive().archive_name(id).set_retention_days(days);
        let create = create.event_source_arn(text(&properties["SourceArn"])).set_event_pattern(pattern);
        if let Err(error) = create.send().await
            && code(&error) != Some("ResourceAlreadyExistsException")
        {
            return Err(refused(error));
        }
        let arn = format!("arn:aws:events:{}:{}:archive/{id}", local_aws::REGION, local_aws::ACCOUNT);
        self.scope.define(id, id, &[("Arn", &arn)]);
        Ok(())
    }

    async fn bucket(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        // Names of buckets are in lower case.
        let name = format!("{}-{}", super::STACK, id.to_lowercase());
        let created = self.aws.s3().create_bucket().bucket(&name).send().await;
        if let Err(error) = created
            && !matches!(code(&error), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists"))
        {
            return Err(refused(error));
        }
        let rules = &properties["CorsConfiguration"]["CorsRules"];
        if !rules.is_null() {
            let rules = CorsConfiguration::builder().set_cors_rules(Some(each(rules, cors_rule)?));
            let put = self.aws.s3().put_bucket_cors().bucket(&name);
            put.cors_configuration(rules.build().map_err(invalid)?).send().await.map_err(refused)?;
        }
        let told = &properties["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"];
        if is_true(told) {
            let told = EventBridgeConfiguration::builder().build();
            let told = NotificationConfiguration::builder().event_bridge_configuration(told).build();
            let put = self.aws.s3().put_bucket_notification_configuration().bucket(&name);
            put.notification_configuration(told).send().await.map_err(refused)?;
        }
        self.scope.define(id, &name, &[("Arn", &format!("arn:aws:s3:::{name}"))]);
        Ok(())
    }

    async fn secret(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        let client = self.aws.secrets();
        let arn = match client.describe_secret().secret_id(id).send().await {
            Ok(found) => found.arn,
            Err(error) if code(&error) == Some("ResourceNotFoundException") => {
                let create = client.create_secret().name(id).set_secret_string(generated(properties));
                create.send().await.map_err(refused)?.arn
            }
            Err(error) => return Err(refused(error)),
        };
        self.scope.define(id, &arn.unwrap_or_default(), &[]);
        Ok(())
    }
}

/// The value that a secret is to be made with, of hexadecimal digits: these are among the characters that are asked for.
fn generated(properties: &Value) -> Option<String> {
    let asked = properties.get("GenerateSecretString")?;
    let length = template::number(&asked["PasswordLength"]).unwrap_or(32);
    let mut random = String::new();
    while random.len() < length {
        random.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    random.truncate(length);
    let mut value: Value = serde_json::from_str(asked["SecretStringTemplate"].as_str()?).ok()?;
    value[asked["GenerateStringKey"].as_str()?] = random.into();
    Some(value.to_string())
}

/// A rule of a bucket's CORS.
fn cors_rule(rule: &Value) -> Result<CorsRule, Unresolved> {
    let list = |name: &str| {
        let values = rule[name].as_array().into_iter().flatten();
        Some(values.map(text).collect::<Vec<_>>()).filter(|values| !values.is_empty())
    };
    CorsRule::builder()
        .set_allowed_origins(list("AllowedOrigins"))
        .set_allowed_methods(list("AllowedMethods"))
        .set_allowed_headers(list("AllowedHeaders"))
        .set_expose_headers(list("ExposedHeaders"))
        .set_max_age_seconds(template::number(&rule["MaxAge"]))
        .build()
        .map_err(invalid)
}

/// Whether an existing table has the keys, indexes and stream that the template says.
fn is_as_described(table: &TableDescription, properties: &Value) -> bool {
    let names = |list: &Value, name: &str| {
        let mut names: Vec<String> =
            list.as_array().into_iter().flatten().map(|one| text(&one[name])).collect();
        names.sort();
        names
    };
    let mut keys: Vec<String> =
        table.key_schema().iter().map(|key| key.attribute_name().to_owned()).collect();
    keys.sort();
    let indexes = table.global_secondary_indexes().iter();
    let mut indexes: Vec<String> =
        indexes.filter_map(|index| index.index_name().map(ToOwned::to_owned)).collect();
    indexes.sort();
    keys == names(&properties["KeySchema"], "AttributeName")
        && indexes == names(&properties["GlobalSecondaryIndexes"], "IndexName")
        && table.latest_stream_arn().is_some() != properties["StreamSpecification"].is_null()
}

fn code<E: aws_sdk_sqs::error::ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error()?.code()
}

fn refused<E>(error: SdkError<E>) -> Unresolved
where
    E: std::error::Error + aws_sdk_sqs::error::ProvideErrorMetadata + Send + Sync + 'static,
{
    Unresolved::Invalid(shared::Error::from(error).cause())
}

fn invalid(error: impl std::fmt::Display) -> Unresolved {
    Unresolved::Invalid(error.to_string())
}

fn each<T>(list: &Value, read: fn(&Value) -> Result<T, Unresolved>) -> Result<Vec<T>, Unresolved> {
    list.as_array().into_iter().flatten().map(read).collect()
}

fn attribute(definition: &Value) -> Result<AttributeDefinition, Unresolved> {
    AttributeDefinition::builder()
        .attribute_name(text(&definition["AttributeName"]))
        .attribute_type(ScalarAttributeType::from(text(&definition["AttributeType"]).as_str()))
        .build()
        .map_err(invalid)
}

fn key(element: &Value) -> Result<KeySchemaElement, Unresolved> {
    KeySchemaElement::builder()
        .attribute_name(text(&element["AttributeName"]))
        .key_type(KeyType::from(text(&element["KeyType"]).as_str()))
        .build()
        .map_err(invalid)
}

fn index(index: &Value) -> Result<GlobalSecondaryIndex, Unresolved> {
    let projection = &index["Projection"];
    let mut projected = Projection::builder()
        .projection_type(ProjectionType::from(text(&projection["ProjectionType"]).as_str()));
    for name in projection["NonKeyAttributes"].as_array().into_iter().flatten() {
        projected = projected.non_key_attributes(text(name));
    }
    GlobalSecondaryIndex::builder()
        .index_name(text(&index["IndexName"]))
        .set_key_schema(Some(each(&index["KeySchema"], key)?))
        .projection(projected.build())
        .build()
        .map_err(invalid)
}

fn target(target: &Value) -> Result<Target, Unresolved> {
    let arn = text(&target["Arn"]);
    if !arn.starts_with("arn:aws:sqs:") {
        return Err(Unresolved::Invalid(format!(
            "the target {arn} is no queue, and nothing else is emulated"
        )));
    }
    let mut built = Target::builder().id(text(&target["Id"])).arn(arn);
    if let Some(arn) = target["DeadLetterConfig"]["Arn"].as_str() {
        built = built.dead_letter_config(DeadLetterConfig::builder().arn(arn).build());
    }
    let number = |name: &str| template::number(&target["RetryPolicy"][name]);
    if !target["RetryPolicy"].is_null() {
        let policy = RetryPolicy::builder()
            .set_maximum_retry_attempts(number("MaximumRetryAttempts"))
            .set_maximum_event_age_in_seconds(number("MaximumEventAgeInSeconds"));
        built = built.retry_policy(policy.build());
    }
    built.build().map_err(invalid)
}
