use super::*;

const SCHEDULED: &str = "InvalidRequestException";

fn service() -> (SecretsManager, Clock) {
    let clock = Clock::default();
    (SecretsManager::new(Store::memory().expect("a store"), clock.clone()).expect("a service"), clock)
}

async fn ok(service: &SecretsManager, action: &str, input: Value) -> Value {
    service.handle(action, input).await.expect("success")
}

async fn code(service: &SecretsManager, action: &str, input: Value) -> String {
    service.handle(action, input).await.expect_err("an error").code
}

fn token(digit: char) -> String {
    std::iter::repeat_n(digit, 32).collect()
}

#[tokio::test]
async fn a_declared_secret_has_a_stable_arn_and_no_value() {
    let (service, _) = service();
    let arn = service.declare("app/key").expect("declared");
    assert_eq!(service.declare("app/key").expect("declared again"), arn);
    let start = "arn:aws:secretsmanager:us-east-1:000000000000:secret:app/key-";
    assert!(arn.starts_with(start) && arn.len() == start.len() + 6, "{arn}");
    let missing = service.handle("GetSecretValue", json!({"SecretId": arn})).await.expect_err("no value");
    assert_eq!(missing.code, "ResourceNotFoundException");
    assert_eq!(
        missing.message,
        "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
    );
}

#[tokio::test]
async fn a_new_value_makes_the_old_one_previous() {
    let (service, _) = service();
    let arn = service.declare("key").expect("declared");
    for (digit, value) in [('1', "one"), ('2', "two"), ('3', "three")] {
        let input = json!({"SecretId": "key", "SecretString": value, "ClientRequestToken": token(digit)});
        let answer = ok(&service, "PutSecretValue", input).await;
        assert_eq!(answer["VersionStages"], json!(["AWSCURRENT"]));
    }
    for id in ["key", &arn, &arn[..arn.len() - 7]] {
        assert_eq!(ok(&service, "GetSecretValue", json!({"SecretId": id})).await["SecretString"], "three");
    }
    let previous = json!({"SecretId": "key", "VersionStage": "AWSPREVIOUS"});
    assert_eq!(ok(&service, "GetSecretValue", previous).await["SecretString"], "two");
    let first = ok(&service, "GetSecretValue", json!({"SecretId": "key", "VersionId": token('1')})).await;
    assert_eq!((&first["SecretString"], &first["VersionStages"]), (&json!("one"), &json!([])));
    let other = json!({"SecretId": "key", "VersionId": token('1'), "VersionStage": "AWSCURRENT"});
    assert_eq!(code(&service, "GetSecretValue", other).await, "InvalidRequestException");
    let described = ok(&service, "DescribeSecret", json!({"SecretId": "key"})).await;
    assert_eq!(
        described["VersionIdsToStages"],
        json!({ token('2'): ["AWSPREVIOUS"], token('3'): ["AWSCURRENT"] })
    );
}

#[tokio::test]
async fn a_request_token_stands_for_one_value() {
    let (service, _) = service();
    let put =
        |value: &str| json!({"SecretId": "key", "SecretString": value, "ClientRequestToken": token('1')});
    let create = json!({"Name": "key", "SecretString": "one", "ClientRequestToken": token('1')});
    assert_eq!(ok(&service, "CreateSecret", create.clone()).await["VersionId"], token('1'));
    ok(&service, "CreateSecret", create).await;
    ok(&service, "PutSecretValue", put("one")).await;
    assert_eq!(code(&service, "PutSecretValue", put("other")).await, "ResourceExistsException");
    assert_eq!(code(&service, "UpdateSecret", put("other")).await, "ResourceExistsException");
    assert_eq!(code(&service, "CreateSecret", json!({"Name": "key"})).await, "ResourceExistsException");
}

#[tokio::test]
async fn a_secret_marked_for_deletion_is_unreadable_until_restored_and_then_gone() {
    let (service, clock) = service();
    ok(&service, "CreateSecret", json!({"Name": "key", "SecretString": "one"})).await;
    ok(&service, "DeleteSecret", json!({"SecretId": "key", "RecoveryWindowInDays": 7})).await;
    assert_eq!(code(&service, "GetSecretValue", json!({"SecretId": "key"})).await, SCHEDULED);
    assert_eq!(code(&service, "CreateSecret", json!({"Name": "key"})).await, SCHEDULED);
    assert_eq!(ok(&service, "ListSecrets", json!({})).await["SecretList"], json!([]));
    ok(&service, "RestoreSecret", json!({"SecretId": "key"})).await;
    assert_eq!(ok(&service, "GetSecretValue", json!({"SecretId": "key"})).await["SecretString"], "one");
    ok(&service, "DeleteSecret", json!({"SecretId": "key"})).await;
    clock.advance_ms(30 * DAY_MS);
    assert_eq!(
        code(&service, "GetSecretValue", json!({"SecretId": "key"})).await,
        "ResourceNotFoundException"
    );
}

#[tokio::test]
async fn a_forced_deletion_is_at_once_and_does_not_mind_a_missing_secret() {
    let (service, _) = service();
    ok(&service, "CreateSecret", json!({"Name": "key", "SecretString": "one"})).await;
    let delete = json!({"SecretId": "key", "ForceDeleteWithoutRecovery": true});
    ok(&service, "DeleteSecret", delete.clone()).await;
    assert_eq!(
        code(&service, "DescribeSecret", json!({"SecretId": "key"})).await,
        "ResourceNotFoundException"
    );
    ok(&service, "DeleteSecret", delete).await;
}

#[tokio::test]
async fn an_error_never_quotes_a_value() {
    let (service, _) = service();
    for input in [
        json!({"Name": "key", "SecretString": {"password": "hunter2"}}),
        json!({"Name": "key", "SecretString": "hunter2", "SecretBinary": "hunter2="}),
        json!({"Name": "key", "SecretBinary": "hunter2!"}),
        json!({"Name": "key", "SecretString": "hunter2", "ClientRequestToken": "short"}),
    ] {
        let error = service.handle("CreateSecret", input).await.expect_err("an error");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
