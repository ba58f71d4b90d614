//! The queue seen from the router.

use std::sync::Arc;

use homeostat_control::LatencyConfig;
use homeostat_deploy::{BatcherConfig, Endpoint, Query, Served};
use homeostat_serve::{HttpOptions, Opening, Wrap};
use homeostat_task::{InputError, Signature};
use serde_json::Value;

use crate::place::{Place, infer_body, opening, values};

const INFER: &str = "/v2/models/pictures/infer";

/// Any number of callers at once: each gets the answer that it gets alone, to the byte.
#[tokio::test(flavor = "multi_thread")]
async fn answers_do_not_depend_on_who_else_asks() {
    let batcher = BatcherConfig { largest_batch: 7, threads: 1, instances: 2, ..BatcherConfig::default() };
    let place = Arc::new(Place::with(Opening { batcher, ..opening() }, HttpOptions::default()).await);
    let body = |client: usize| {
        let values: Vec<f32> =
            values(1 + client % 3).iter().map(|value| value * (1.0 + client as f32 / 10.0)).collect();
        infer_body(&values).to_string()
    };
    let mut alone = Vec::new();
    for client in 0..12 {
        alone.push(place.post(INFER, body(client)).await.json(200));
    }
    let clients: Vec<_> = (0..12)
        .map(|client| {
            let (place, body, alone) = (Arc::clone(&place), body(client), alone[client].clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    assert_eq!(place.post(INFER, body.clone()).await.json(200), alone);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_excess_is_refused_with_a_time_to_come_back() {
    let batcher = BatcherConfig { queue: 1, largest_batch: 1, threads: 1, ..BatcherConfig::default() };
    let place = Arc::new(Place::with(Opening { batcher, ..opening() }, HttpOptions::default()).await);
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let place = Arc::clone(&place);
            tokio::spawn(async move {
                let mut counts = [0, 0];
                for _ in 0..50 {
                    let answer = place.post(INFER, infer_body(&values(20)).to_string()).await;
                    if answer.status == 200 {
                        counts[0] += 1;
                    } else {
                        answer.error(429);
                        assert_eq!(answer.headers["retry-after"], "1");
                        counts[1] += 1;
                    }
                }
                counts
            })
        })
        .collect();
    let mut all = [0, 0];
    for client in clients {
        let counts = client.await.unwrap();
        all = [all[0] + counts[0], all[1] + counts[1]];
    }
    assert!(all[0] > 0 && all[1] > 0, "{all:?}");
    let text = place.engine.metrics_text();
    assert!(text.contains(&format!("homeostat_rejections_total{{reason=\"overload\"}} {}", all[1])), "{text}");
}

/// A target that no answer can hold: the queue and the wait shrink to what they may be at least.
#[tokio::test]
async fn the_loop_sets_what_it_decides() {
    let latency = Some(LatencyConfig { target: 1e-7, ..LatencyConfig::default() });
    let place = Place::with(Opening { latency, ..opening() }, HttpOptions::default()).await;
    let settings = |text: &str| {
        let value = |name: &str| -> f64 {
            let line = format!("{name}{{model=\"pictures\",version=\"1\"}} ");
            text.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap()
        };
        (value("homeostat_queue_limit_requests"), value("homeostat_longest_wait_seconds"))
    };
    assert_eq!(settings(&place.engine.metrics_text()), (1024.0, 0.0005));
    for _ in 0..30 {
        place.post(INFER, infer_body(&values(1)).to_string()).await.json(200);
    }
    place.engine.turn();
    let (queue, wait) = settings(&place.engine.metrics_text());
    assert!((queue - 2.0).abs() < 1e-9 && wait < 0.0005, "{queue} {wait}");
    // Nothing was asked since: nothing is decided.
    place.engine.turn();
    assert_eq!(settings(&place.engine.metrics_text()), (queue, wait));
    place.post(INFER, infer_body(&values(1)).to_string()).await.json(200);
}

/// A network that panics on what has 13 samples.
struct Superstitious(Box<dyn Endpoint>);

impl Endpoint for Superstitious {
    fn answer(&self, requests: &[&[u8]]) -> Vec<Result<Value, InputError>> {
        self.0.answer(requests)
    }

    fn agree(&self, expected: &Value, found: &Value, tolerance: f64) -> bool {
        self.0.agree(expected, found, tolerance)
    }

    fn signature(&self) -> Option<Signature> {
        self.0.signature()
    }

    fn serve(&self, queries: &[Query], largest_batch: usize) -> Served {
        assert!(queries.iter().all(|query| query.rows() != 13), "to order");
        self.0.serve(queries, largest_batch)
    }

    fn replicate(&self) -> Box<dyn Endpoint> {
        Box::new(Self(self.0.replicate()))
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_health_tells_the_truth() {
    let wrap: Wrap = |endpoint| Box::new(Superstitious(endpoint));
    let place = Place::with(Opening { wrap: Some(wrap), ..opening() }, HttpOptions::default()).await;
    let healthy = place.post(INFER, infer_body(&values(12)).to_string()).await.json(200);
    for panics in 1..=3 {
        assert_eq!(place.get("/v2/health/ready").await.status, 200, "after {} panics", panics - 1);
        let line = place.post(INFER, infer_body(&values(13)).to_string()).await.error(500);
        assert!(!line.contains("to order"), "{line}");
        check_replaced(&place, panics);
    }
    assert_eq!(place.get("/v2/health/ready").await.status, 503);
    assert_eq!(place.get("/v2/health/live").await.status, 200);
    // A new instance has the place of the old one, and its first answer makes it well.
    assert_eq!(place.post(INFER, infer_body(&values(12)).to_string()).await.json(200), healthy);
    assert_eq!(place.get("/v2/health/ready").await.status, 200);
    // Who is loaded anew has no panics behind him; the counter goes on.
    place.engine.unload("pictures").unwrap();
    place.engine.load("pictures").await.unwrap();
    place.post(INFER, infer_body(&values(13)).to_string()).await.error(500);
    check_replaced(&place, 4);
}

fn check_replaced(place: &Place, panics: usize) {
    let text = place.engine.metrics_text();
    let line =
        format!("homeostat_instances_replaced_total{{model=\"pictures\",reason=\"panic\",version=\"1\"}} {panics}\n");
    assert!(text.contains(&line), "{text}");
}
