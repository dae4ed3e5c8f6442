//! Roles: what they may do, and how AWS says that they may not.

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use local_aws::iam::Statement;
use local_aws::{REGION, SECRET_ACCESS_KEY, iam};
use serde_json::{Value, json};

use crate::cloud::World;
use crate::s3::head;

const SHOP: &str = "arn:aws:s3:::shop";

macro_rules! client {
    ($world:expr, $sdk:ident, $role:expr) => {
        $sdk::Client::from_conf(client!(@config $world, $sdk, $role).build())
    };
    (@config $world:expr, $sdk:ident, $role:expr) => {
        $sdk::Config::builder()
            .behavior_version_latest()
            .region($sdk::config::Region::new(REGION))
            .credentials_provider(Credentials::new(
                &$role.access_key_id,
                &$role.secret_access_key,
                Some($role.session_token.clone()),
                None,
                "test",
            ))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url($world.cloud.endpoint())
    };
}

impl World {
    /// A role that may do this.
    fn role(&self, statements: &[Value]) -> iam::Credentials {
        let statements = Statement::read_all(&json!({"Statement": statements})).unwrap();
        self.cloud.iam().assume("shop", statements)
    }

    fn s3_as(&self, role: &iam::Credentials) -> aws_sdk_s3::Client {
        let config = client!(@config self, aws_sdk_s3, role).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// A bucket with an object under `kept/k`.
    async fn bucket(&self) {
        let s3 = self.s3(SECRET_ACCESS_KEY);
        s3.create_bucket().bucket("shop").send().await.unwrap();
        s3.put_object().bucket("shop").key("kept/k").body(b"hello".to_vec().into()).send().await.unwrap();
    }
}

fn allow(action: &str, resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

fn code<T>(answer: Result<T, impl ProvideErrorMetadata>) -> Option<String> {
    answer.err().expect("a refusal").code().map(ToOwned::to_owned)
}

#[tokio::test]
async fn each_service_says_in_its_own_way_that_a_role_may_not() {
    let world = World::new().await;
    world.table("Lamps").await;
    let (url, role) = (world.queue("mails").await, world.role(&[]));
    let scan = client!(world, aws_sdk_dynamodb, role).scan().table_name("Lamps").send().await.unwrap_err();
    assert_eq!(scan.raw_response().unwrap().status().as_u16(), 400);
    assert_eq!(scan.code(), Some("AccessDeniedException"));
    assert_eq!(
        scan.message(),
        Some(
            "User: arn:aws:sts::000000000000:assumed-role/shop/shop is not authorized to perform: dynamodb:Scan on resource: arn:aws:dynamodb:us-east-1:000000000000:table/Lamps because no identity-based policy allows the dynamodb:Scan action"
        )
    );
    let sqs = client!(world, aws_sdk_sqs, role);
    let send = sqs.send_message().queue_url(&url).message_body("m").send().await.unwrap_err();
    assert_eq!((send.raw_response().unwrap().status().as_u16(), send.code()), (403, Some("AccessDenied")));
    assert!(send.message().unwrap().contains("to perform: sqs:sendmessage on resource"));

    let entry = PutEventsRequestEntry::builder().source("shop").detail_type("t").detail("{}").build();
    let put = client!(world, aws_sdk_eventbridge, role).put_events().entries(entry).send().await;
    assert_eq!(code(put).as_deref(), Some("AccessDeniedException"));
    let secret = client!(world, aws_sdk_secretsmanager, role).get_secret_value().secret_id("s").send().await;
    assert_eq!(code(secret).as_deref(), Some("AccessDeniedException"));
    world.bucket().await;
    let get = world.s3_as(&role).get_object().bucket("shop").key("kept/k").send().await.unwrap_err();
    assert_eq!((get.raw_response().unwrap().status().as_u16(), get.code()), (403, Some("AccessDenied")));
}

#[tokio::test]
async fn whoever_is_unknown_is_told_so() {
    let world = World::new().await;
    world.bucket().await;
    let mut role = world.role(&[allow("s3:GetObject", &format!("{SHOP}/*"))]);
    // Somebody else's token, or none, is as bad as another key.
    let token = std::mem::replace(&mut role.session_token, "another".to_owned());
    let lamps = client!(world, aws_sdk_dynamodb, role).scan().table_name("Lamps").send().await;
    assert_eq!(code(lamps).as_deref(), Some("UnrecognizedClientException"));
    let object = world.s3_as(&role).get_object().bucket("shop").key("kept/k").send().await;
    assert_eq!(code(object).as_deref(), Some("InvalidToken"));
    (role.session_token, role.access_key_id) = (token, "ASIA0000000000000000".to_owned());
    let lamps = client!(world, aws_sdk_dynamodb, role).scan().table_name("Lamps").send().await;
    assert_eq!(code(lamps).as_deref(), Some("UnrecognizedClientException"));
    let queues = client!(world, aws_sdk_sqs, role).list_queues().send().await;
    assert_eq!(code(queues).as_deref(), Some("InvalidClientTokenId"));
    let buckets = world.s3_as(&role).get_object().bucket("shop").key("k").send().await;
    assert_eq!(code(buckets).as_deref(), Some("InvalidAccessKeyId"));
}

#[tokio::test]
async fn a_transaction_wants_the_right_of_each_of_its_parts() {
    let world = World::new().await;
    world.table("Lamps").await;
    let table = "arn:aws:dynamodb:us-east-1:000000000000:table/Lamps";
    let put = allow("dynamodb:PutItem", table);
    let id = |id: &str| AttributeValue::S(id.to_owned());
    for (statements, allowed) in
        [(vec![put.clone()], false), (vec![put, allow("dynamodb:ConditionCheckItem", table)], true)]
    {
        let role = world.role(&statements);
        let client = client!(world, aws_sdk_dynamodb, role);
        let put = Put::builder().table_name("Lamps").item("id", id("1")).build().unwrap();
        let check = ConditionCheck::builder().table_name("Lamps").key("id", id("2"));
        let check = check.condition_expression("attribute_not_exists(id)").build().unwrap();
        let transaction = client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(TransactWriteItem::builder().condition_check(check).build());
        let answer = transaction.send().await;
        assert_eq!(answer.is_ok(), allowed);
        if !allowed {
            assert_eq!(code(answer).as_deref(), Some("AccessDeniedException"));
        }
    }
}

#[tokio::test]
async fn a_missing_object_is_missing_only_to_whoever_may_list() {
    let world = World::new().await;
    world.bucket().await;
    let get = allow("s3:GetObject", &format!("{SHOP}/*"));
    for (statements, head, get) in [
        (vec![get.clone()], 403, "AccessDenied"),
        (vec![get, allow("s3:ListBucket", SHOP)], 404, "NoSuchKey"),
    ] {
        let s3 = world.s3_as(&world.role(&statements));
        let head_of_none = s3.head_object().bucket("shop").key("none").send().await.unwrap_err();
        assert_eq!(head_of_none.raw_response().unwrap().status().as_u16(), head);
        assert_eq!(code(s3.get_object().bucket("shop").key("none").send().await).as_deref(), Some(get));
        s3.get_object().bucket("shop").key("kept/k").send().await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_reads_its_source_and_a_presigned_url_has_its_signers_rights() {
    let world = World::new().await;
    world.bucket().await;
    let (get, put) = (
        allow("s3:GetObject", &format!("{SHOP}/kept/*")),
        allow("s3:PutObject", &format!("{SHOP}/copies/*")),
    );
    for (statements, allowed) in
        [(vec![get.clone()], false), (vec![put.clone()], false), (vec![get.clone(), put], true)]
    {
        let s3 = world.s3_as(&world.role(&statements));
        let copy = s3.copy_object().bucket("shop").key("copies/k").copy_source("shop/kept/k").send().await;
        assert_eq!(copy.is_ok(), allowed);
    }
    for (statements, status) in [(vec![get], 200), (vec![], 403)] {
        let s3 = world.s3_as(&world.role(&statements));
        let minute = PresigningConfig::expires_in(std::time::Duration::from_secs(60)).unwrap();
        let signed = s3.get_object().bucket("shop").key("kept/k").presigned(minute).await.unwrap();
        assert!(signed.uri().contains("X-Amz-Security-Token"));
        let path = signed.uri().strip_prefix(&world.cloud.endpoint()).unwrap();
        let answer = head(&world, &format!("GET {path} HTTP/1.1\r\n")).await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
    }
}

#[tokio::test]
async fn of_several_objects_each_is_deleted_by_a_right_of_its_own() {
    let world = World::new().await;
    world.bucket().await;
    let role = world.role(&[allow("s3:DeleteObject", &format!("{SHOP}/gone/*"))]);
    let object = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder().objects(object("gone/k")).objects(object("kept/k")).build().unwrap();
    let answer = world.s3_as(&role).delete_objects().bucket("shop").delete(delete).send().await.unwrap();
    assert_eq!(answer.deleted().len(), 1);
    assert_eq!((answer.errors()[0].key(), answer.errors()[0].code()), (Some("kept/k"), Some("AccessDenied")));
    world.s3(SECRET_ACCESS_KEY).get_object().bucket("shop").key("kept/k").send().await.unwrap();
}

#[tokio::test]
async fn a_mail_goes_out_under_the_address_that_a_condition_allows() {
    let world = World::new().await;
    let mut statement = allow("ses:SendEmail", "arn:aws:ses:us-east-1:000000000000:identity/*");
    statement["Condition"] = json!({"StringEquals": {"ses:FromAddress": "shop@example.com"}});
    let role = world.role(&[statement]);
    let ses = client!(world, aws_sdk_sesv2, role);
    for (from, allowed) in [("shop@example.com", true), ("ceo@example.com", false)] {
        let content = |text: &str| Content::builder().data(text).build().unwrap();
        let body = Body::builder().text(content("Hello")).build();
        let message = Message::builder().subject(content("Hello")).body(body).build();
        let send = ses.send_email().from_email_address(from);
        let send = send.destination(Destination::builder().to_addresses("a@example.com").build());
        let answer = send.content(EmailContent::builder().simple(message).build()).send().await;
        assert_eq!(answer.is_ok(), allowed);
        if let Err(error) = answer {
            assert_eq!(error.raw_response().unwrap().status().as_u16(), 403);
            assert_eq!(error.code(), Some("AccessDeniedException"));
        }
    }
}
