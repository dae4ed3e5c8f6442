//! `GET /health/ready`: whether what the functions stand on answers.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::try_join4;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use shared::caller::Anyone;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::id::UserId;
use shared::users::Users;
use shared::{Error, Function, Init, Request, Response, Result};

/// `ops-ready`.
pub static FUNCTION: Function = Function::http::<Ready>("ops-ready");

/// How long an answer may take: whoever watches has little patience, and an answer later than this is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is ready.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Readiness")]
struct Report {
    /// Always `ready`: what is not is a 503.
    status: &'static str,
}

/// What looking at everything needs.
pub struct Ready {
    users: Users,
    sqs: aws_sdk_sqs::Client,
    emails: String,
    eventbridge: aws_sdk_eventbridge::Client,
    bus: String,
    s3: aws_sdk_s3::Client,
    bucket: String,
}

impl Endpoint for Ready {
    type Caller = Anyone;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Tell whether the database, the queues, the event bus and the bucket answer")
            .answers::<Report>(StatusCode::OK, json!({"status": "ready"}))
    }

    fn init(init: &mut Init) -> Self {
        Self {
            users: Users::init(init),
            sqs: init.aws().sqs(),
            emails: init.text("EMAILS_QUEUE_URL"),
            eventbridge: init.aws().eventbridge(),
            bus: init.text("EVENT_BUS_NAME"),
            s3: init.aws().s3(),
            bucket: init.text("FILES_BUCKET"),
        }
    }

    async fn handle(&self, Anyone: Anyone, _: &Request) -> Result<Response> {
        // Boxed: requests of the SDK are large to move about.
        let looked = Box::pin(try_join4(self.database(), self.queue(), self.bus(), self.bucket()));
        let looked = tokio::time::timeout(PATIENCE, looked);
        // Whatever the cause, somebody else may answer: a 500 would say that trying again is no use.
        looked.await.map_err(Error::unavailable)?.map_err(Error::unavailable)?;
        Response::json(StatusCode::OK, &Report { status: "ready" })
    }
}

impl Ready {
    /// Reads a user who need not exist.
    async fn database(&self) -> Result<()> {
        self.users.get(UserId::from([0; 16])).await.map(drop)
    }

    async fn queue(&self) -> Result<()> {
        let attributes = self.sqs.get_queue_attributes().queue_url(&self.emails);
        attributes.attribute_names(QueueAttributeName::QueueArn).send().await?;
        Ok(())
    }

    async fn bucket(&self) -> Result<()> {
        self.s3.head_bucket().bucket(&self.bucket).send().await?;
        Ok(())
    }

    async fn bus(&self) -> Result<()> {
        self.eventbridge.describe_event_bus().name(&self.bus).send().await?;
        Ok(())
    }
}
