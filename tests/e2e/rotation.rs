//! Keys rotate while old and new instances run side by side: no token that is still valid is refused.

use std::collections::BTreeMap;

use local::Options;
use serde_json::{Value, json};

use crate::app::{
    Account, FORGOT_PASSWORD, OTHER_PASSWORD, RESET_PASSWORD, TestApp, Tokens, may_have_a_cloud,
};

/// Instances of one stack that were deployed with a rotation, over the cloud of `first`.
async fn instances(first: Option<&TestApp>, rotation: &str) -> Result<TestApp, String> {
    let parameters: BTreeMap<String, String> =
        [("KeyRotation", rotation), ("AccessTokenSeconds", "300"), ("RefreshTokenSeconds", "3600")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let bundle = first.map(|app| app.bundle.as_ref().unwrap());
    let cloud = bundle.map(|bundle| bundle.aws_url().to_owned());
    let iam = bundle.and_then(|bundle| bundle.iam().cloned());
    // Queues and streams are read by the first alone.
    let held = match first {
        None => Vec::new(),
        Some(_) => local::functions().map(|function| function.name.to_owned()).collect(),
    };
    let options = Options { parameters, aws_endpoint: cloud, iam, held, ..Options::default() };
    TestApp::try_boot(options).await
}

/// Every instance takes what every other issued.
async fn agree(instances: &[&TestApp], account: &Account) -> Vec<Tokens> {
    let mut issued = Vec::new();
    for issuer in instances {
        let tokens = issuer.login(account).await;
        for verifier in instances {
            assert_eq!(verifier.me(&tokens.access).await.status, 200);
        }
        issued.push(tokens);
    }
    let mut kept = Vec::new();
    for mut tokens in issued {
        for instance in instances {
            tokens = instance.refresh(&tokens.refresh).await;
        }
        kept.push(tokens);
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_twice_under_traffic_and_no_valid_token_is_refused() {
    if !may_have_a_cloud() {
        return;
    }
    let one = instances(None, "1").await.unwrap();
    let account = one.register().await;
    let before = agree(&[&one], &account).await.remove(0);
    one.post(FORGOT_PASSWORD, &json!({"email": account.email})).await;
    let link = one.token_in_mail(&account.email, "Password Reset Request", 1).await;

    // The first rotation: new instances beside the old ones.
    let two = instances(Some(&one), "2").await.unwrap();
    assert_eq!(two.me(&before.access).await.status, 200);
    agree(&[&one, &two], &account).await;
    let kept = two.refresh(&before.refresh).await;
    let reset = two.post(RESET_PASSWORD, &json!({"token": link, "newPassword": OTHER_PASSWORD})).await;
    assert_eq!(reset.status, 204, "{}", reset.body);
    assert_eq!(two.me(&kept.access).await.status, 401, "a reset ends sessions, whatever their key");

    // A second one at once would end valid tokens: it is refused, and all goes on as before.
    let refused = instances(Some(&one), "3").await.err().expect("a rotation too soon is refused");
    assert!(refused.contains("rotated"), "{refused}");
    let account = one.register().await;
    agree(&[&one, &two], &account).await;

    // Once no token of the first key can be alive, the second rotation is let through.
    two.advance_clock(90_000).await;
    let event = json!({
        "RequestType": "Update", "ResponseURL": "http://127.0.0.1:1/", "StackId": "s", "RequestId": "r",
        "LogicalResourceId": "JwtKeys", "ResourceProperties": {"Rotation": "3"},
    });
    // Nobody listens where it answers; the keys are what counts.
    let _: Result<Value, String> = two.invoke("ops-jwt-keys", &event.to_string()).await;
    let three = instances(Some(&one), "3").await.unwrap();
    // The instances of the first deployment are gone by then; those of the second know the key of the third.
    let latest = three.login(&account).await;
    assert_eq!(one.me(&latest.access).await.status, 401, "the first deployment does not know the third key");
    let four = instances(Some(&one), "2").await.unwrap();
    agree(&[&three, &four], &account).await;
}
