//! The time invokes a function.
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>)

use std::sync::Arc;
use std::time::Duration;

use local_aws::Clock;
use local_aws::schedule::Schedule;

use crate::invoke::Invoker;

/// How often the clock is looked at: it may jump forward.
const LOOK: Duration = Duration::from_millis(250);

/// What Scheduler writes the time for
/// (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html>).
const TIME: &str = "<aws.scheduler.scheduled-time>";

/// Which schedule.
pub struct Mapping {
    /// The schedule's name.
    pub id: String,
    /// `rate(...)`, `cron(...)` or `at(...)`.
    pub expression: String,
    /// Whether it runs at all.
    pub enabled: bool,
    /// What the function is given, with [`TIME`] for when it was due.
    pub input: String,
}

impl Mapping {
    /// Invokes `function` when it is due, one time after the other, for ever. A jump of the clock over
    /// several times invokes it once, for the first of them.
    pub async fn run(self, clock: Clock, function: Arc<Invoker>) {
        let schedule: Schedule = match self.expression.parse() {
            Ok(schedule) => schedule,
            Err(error) => {
                tracing::error!(schedule = self.id, %error, "cannot be due");
                return;
            }
        };
        let now = || jiff::Timestamp::from_millisecond(clock.now_ms()).unwrap_or(jiff::Timestamp::MAX);
        let mut due = schedule.next_after(now());
        while let Some(time) = due.filter(|_| self.enabled) {
            if now() < time {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let event = self.input.replace(TIME, &time.to_string());
            if let Err(error) = function.invoke(event).await {
                tracing::error!(schedule = self.id, function = function.name, %error, "failed");
            }
            due = schedule.next_after(now().max(time));
        }
        // Never due again is no end: only what failed ends.
        std::future::pending::<()>().await;
    }
}
