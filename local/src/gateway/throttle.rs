//! API Gateway's throttling of each route: a bucket of tokens that fills at a rate.
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html>)

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::template::number;

/// How often each route may be called; as often as one likes by default.
#[derive(Default)]
pub struct Throttle {
    limit: Option<Limit>,
    /// Tokens by route, and when they were counted.
    buckets: Mutex<HashMap<String, (f64, Instant)>>,
}

struct Limit {
    /// Requests a second.
    rate: f64,
    /// Requests at once.
    burst: f64,
}

impl Throttle {
    /// Reads resolved `DefaultRouteSettings`. Where one of the two is missing, it is the account's.
    pub fn read(settings: &Value) -> Self {
        let (rate, burst) =
            (number(&settings["ThrottlingRateLimit"]), number(&settings["ThrottlingBurstLimit"]));
        let given = rate.is_some() || burst.is_some();
        let limit = Limit { rate: rate.unwrap_or(10_000.0), burst: burst.unwrap_or(5_000.0) };
        Self { limit: given.then_some(limit), buckets: Mutex::default() }
    }

    /// Whether a route may be called now, which counts as a call then.
    pub(super) fn lets(&self, route: &str, now: Instant) -> bool {
        let Some(Limit { rate, burst }) = &self.limit else { return true };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, counted) = buckets.entry(route.to_owned()).or_insert((*burst, now));
        *tokens = (*tokens + now.saturating_duration_since(*counted).as_secs_f64() * rate).min(*burst);
        *counted = now;
        let lets = *tokens >= 1.0;
        if lets {
            *tokens -= 1.0;
        }
        lets
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_is_called_so_often_at_once_and_so_often_a_second() {
        let throttle = Throttle::read(&json!({"ThrottlingRateLimit": "10", "ThrottlingBurstLimit": 3}));
        let start = Instant::now();
        let taken = |route: &str, now| (0..100).filter(|_| throttle.lets(route, now)).count();
        assert_eq!(taken("GET /a", start), 3);
        assert_eq!(taken("GET /b", start), 3);
        assert_eq!(taken("GET /a", start + Duration::from_millis(210)), 2);
        assert_eq!(taken("GET /a", start + Duration::from_mins(1)), 3);
        assert!((0..10_000).all(|_| Throttle::default().lets("GET /a", start)));
    }
}
