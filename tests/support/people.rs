//! Callers with tokens of their own, as the first quota manager's clients have them.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::http::Answer;
use super::service::{JWT_SECRET, Service};

/// A token that says `claims`.
pub fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

impl Service {
    /// A request of `user`, not sent yet.
    pub fn ask_as(&self, user: &str, method: Method, path: &str) -> RequestBuilder {
        self.ask_as_nobody(method, path).bearer_auth(token(&json!({"id": user})))
    }

    /// What `user` reads.
    pub async fn read_as(&self, user: &str, path: &str) -> Answer {
        Answer::to(self.ask_as(user, Method::GET, path)).await
    }

    /// What `user`'s post is answered.
    pub async fn post_as(&self, user: &str, path: &str, body: &Value) -> Answer {
        Answer::to(self.ask_as(user, Method::POST, path).json(body)).await
    }

    /// The same, under a key of the user's.
    pub async fn post_once(&self, user: &str, key: &str, path: &str, body: &Value) -> Answer {
        let request = self.ask_as(user, Method::POST, path).header("Idempotency-Key", key);
        Answer::to(request.json(body)).await
    }

    /// Gives a user quota of one expiry.
    pub async fn give(&self, user: &str, amount: &Value, expiry: &str) {
        let grant = json!({"user_id": user, "amount": amount, "expiry_date": expiry});
        self.send("/api/v1/admin/quota/grants", &grant).await.expect(201);
    }

    /// `total used available` and what is held by expiry, of a user.
    pub async fn holds(&self, user: &str) -> String {
        let answer = self.read_as(user, "/api/v1/quota").await.expect(200);
        let items = answer.json()["quota_list"].clone();
        let item = |item: &Value| {
            let expiry = item["expiry_date"].as_str().expect("a moment");
            format!("{} {}", item["amount"], expiry.get(..10).expect("a day"))
        };
        let items: Vec<String> = items.as_array().expect("items").iter().map(item).collect();
        let numbers = ["total_quota", "used_quota", "available_quota"];
        let numbers = numbers.map(|name| answer.number(name).to_owned());
        format!("{} [{}]", numbers.join(" "), items.join(", "))
    }
}
