//! The manual clock: there when it is asked for, forward only, and nothing moves without it.

use serde_json::json;

use crate::support::calls::NOON;
use crate::support::http::{call, with};
use crate::support::service::Setup;

const CLOCK: &str = "/api/v1/admin/clock";

#[tokio::test]
async fn a_manual_clock_stands_still_and_moves_forward_only() {
    let service = Setup::new().manual_clock(NOON).start().await;
    assert_eq!(service.read(CLOCK).await.expect(200).json(), json!({"now": NOON}));
    let moved = service.send(CLOCK, &json!({"now": "2025-03-01T14:00:00+01:00"})).await.expect(200);
    assert_eq!(moved.json(), json!({"now": "2025-03-01T13:00:00Z"}));
    let back = service.send(CLOCK, &json!({"now": NOON})).await.expect(409);
    assert_eq!(back.json()["code"], "clock_backwards");
    service.send(CLOCK, &json!({"now": "2025-03-01T13:00:00Z"})).await.expect(200);
    let record = service.send("/api/v1/consumption", &call("a", 1, 1)).await.expect(201);
    assert_eq!(record.json()["createdAt"], "2025-03-01T13:00:00Z");
    assert_eq!(
        service.read(CLOCK).await.expect(200).json(),
        json!({"now": "2025-03-01T13:00:00Z"})
    );
}

#[tokio::test]
async fn without_a_manual_clock_nobody_can_move_time() {
    let service = Setup::new().start().await;
    service.read(CLOCK).await.expect(404);
    service.send(CLOCK, &json!({"now": "2099-01-01T00:00:00Z"})).await.expect(404);
    let described = service.read("/api/v1/openapi.json").await.expect(200).json();
    assert_eq!(described["paths"].get(CLOCK), None);
}

#[tokio::test]
async fn a_month_passes_in_a_second() {
    let service = Setup::new().manual_clock("2025-01-31T23:59:59Z").start().await;
    for (day, id) in
        [("2025-01-31", "january"), ("2025-02-28", "february"), ("2025-03-01", "march")]
    {
        service.advance_clock_to(&format!("{day}T23:59:59Z")).await;
        let body = with(call(id, 10, 0), &json!({"timestamp": format!("{day}T23:59:59.999999Z")}));
        service.send("/api/v1/consumption", &body).await.expect(201);
    }
    let path = "/api/v1/consumption/aggregates?period=month";
    let months = service.read(path).await.expect(200).json();
    let periods: Vec<_> =
        months["data"].as_array().expect("lines").iter().map(|line| &line["period"]).collect();
    assert_eq!(json!(periods), json!(["2025-01", "2025-02", "2025-03"]));
}
