//! A stand-in for Stripe: speaks its wire format over a real socket, as strictly as the real one, and
//! can misbehave. What it has been asked for, and what it has made, can be looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::service::Setup;

/// The key that it takes.
pub const SECRET_KEY: &str = "sk_test_of_the_stand_in";

/// How it treats requests until it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Does what it is asked for; a payment that is confirmed comes in.
    Good,
    /// Refuses the card of every payment that is confirmed.
    Declining,
    /// Says that there is no such means of payment.
    Refusing,
    /// Asks the payer to do something.
    RequiringAction,
    /// Takes its time with the bank.
    Processing,
    /// Fails, and has done nothing.
    Failing,
    /// Does what it is asked for, and answers when nobody waits any more.
    Late,
    /// Does not take the key.
    Locked,
}

/// A request that it was sent.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub key: String,
    pub form: BTreeMap<String, String>,
}

#[derive(Default)]
struct Account {
    behaviour: Option<Behaviour>,
    objects: BTreeMap<String, Value>,
    /// The form and the answer of each idempotency key.
    answers: BTreeMap<String, (BTreeMap<String, String>, u16, Value)>,
    seen: Vec<Seen>,
    /// The ids that were looked up.
    looked_up: Vec<String>,
}

/// A running stand-in. It ends with the runtime of its test.
#[derive(Clone)]
pub struct Stripe {
    account: Arc<Mutex<Account>>,
    url: String,
}

impl Stripe {
    pub async fn start() -> Self {
        let account = Arc::<Mutex<Account>>::default();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&account));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { account, url }
    }

    /// A service that pays through it, and looks after wallets only when it is told to.
    pub fn customer(&self, webhook_secret: &str) -> Setup {
        Setup::new()
            .variable("STRIPE_SECRET_KEY", SECRET_KEY)
            .variable("STRIPE_WEBHOOK_SECRET", webhook_secret)
            .variable("TALLYBOOK__STRIPE__BASE_URL", &self.url)
            .variable("TALLYBOOK__STRIPE__TIMEOUT_MS", "2000")
            .variable("TALLYBOOK__BILLING__AUTO_TOP_UP_EVERY_SECONDS", "0")
            .variable("TALLYBOOK__BILLING__PUBLIC_URL", "https://tally.example/app/")
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.account.lock().behaviour = Some(behaviour);
    }

    /// What it was asked to make.
    pub fn seen(&self) -> Vec<Seen> {
        self.account.lock().seen.clone()
    }

    /// How often a payment or a page was looked up.
    pub fn looks(&self, id: &str) -> usize {
        self.account.lock().looked_up.iter().filter(|it| *it == id).count()
    }

    /// What it has made, the ids of which begin so.
    pub fn objects(&self, prefix: &str) -> Vec<Value> {
        let account = self.account.lock();
        let objects = account.objects.iter().filter(|(id, _)| id.starts_with(prefix));
        objects.map(|(_, object)| object.clone()).collect()
    }

    /// Somebody pays a payment; it as it stands then.
    pub fn pay(&self, id: &str) -> Value {
        let mut account = self.account.lock();
        let payment = account.objects.get_mut(id).expect("a payment");
        payment["status"] = json!("succeeded");
        payment["amount_received"] = payment["amount"].clone();
        payment.clone()
    }

    /// A payment fails; it as it stands then.
    pub fn fail(&self, id: &str, message: &str) -> Value {
        let mut account = self.account.lock();
        let payment = account.objects.get_mut(id).expect("a payment");
        payment["status"] = json!("requires_payment_method");
        payment["last_payment_error"] = json!({"type": "card_error", "message": message});
        payment.clone()
    }

    /// Nobody has paid on a page for a day.
    pub fn expire(&self, id: &str) {
        let mut account = self.account.lock();
        let page = account.objects.get_mut(id).expect("a page");
        page["status"] = json!("expired");
        page["url"] = Value::Null;
    }

    /// Somebody pays on a page: the page and the payment as they stand then.
    pub fn check_out(&self, id: &str) -> (Value, Value) {
        let payment = {
            let mut account = self.account.lock();
            let session = account.objects[id].clone();
            let payment = id.replace("cs_", "pi_of_cs_");
            let made = json!({
                "id": payment, "object": "payment_intent", "amount": session["amount_total"],
                "amount_received": 0, "currency": "usd", "status": "requires_payment_method",
                "metadata": session["_payment_metadata"],
            });
            account.objects.insert(payment.clone(), made);
            let session = account.objects.get_mut(id).expect("a page");
            session["status"] = json!("complete");
            session["payment_status"] = json!("paid");
            session["payment_intent"] = json!(payment);
            session["url"] = Value::Null;
            payment
        };
        let payment = self.pay(&payment);
        (self.account.lock().objects[id].clone(), payment)
    }
}

type Failure = (u16, Value);

fn refusal(status: u16, kind: &str, code: &str, message: &str) -> Failure {
    (status, json!({"error": {"type": kind, "code": code, "message": message}}))
}

async fn serve(
    State(account): State<Arc<Mutex<Account>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let behaviour = account.lock().behaviour.unwrap_or(Behaviour::Good);
    let answer = answer(&account, behaviour, (&method, uri.path()), &headers, &body);
    if behaviour == Behaviour::Late && method == Method::POST {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    let (status, body) = answer.unwrap_or_else(|failure| failure);
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}

fn answer(
    account: &Mutex<Account>,
    behaviour: Behaviour,
    (method, path): (&Method, &str),
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(u16, Value), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let invalid = "invalid_request_error";
    if text("authorization") != format!("Bearer {SECRET_KEY}") || behaviour == Behaviour::Locked {
        let message = format!("Invalid API Key provided: {}", text("authorization"));
        return Err(refusal(401, invalid, "api_key", &message));
    }
    if text("stripe-version").len() != "2024-06-20".len() {
        return Err(refusal(400, invalid, "version", "no such version"));
    }
    if behaviour == Behaviour::Failing {
        return Err(refusal(500, "api_error", "down", "An unknown error occurred"));
    }
    if *method == Method::GET {
        let id = path.rsplit('/').next().unwrap_or_default();
        let mut account = account.lock();
        account.looked_up.push(id.to_owned());
        let found = account.objects.get(id).cloned();
        let found = found.filter(|object| path == format!("/v1/{}/{id}", place(object)));
        return match found {
            Some(object) => Ok((200, object)),
            None => Err(refusal(404, invalid, "resource_missing", "No such object")),
        };
    }
    let form = read_form(text("content-type"), body)?;
    let key = text("idempotency-key").to_owned();
    let mut account = account.lock();
    account.seen.push(Seen { path: path.to_owned(), key: key.clone(), form: form.clone() });
    if key.is_empty() {
        return Err(refusal(400, invalid, "key", "the stand-in insists on an idempotency key"));
    }
    if let Some((first, status, answer)) = account.answers.get(&key) {
        let message = "Keys for idempotent requests can only be used with the same parameters";
        return if *first == form {
            Ok((*status, answer.clone()))
        } else {
            Err(refusal(400, "idempotency_error", "idempotency_key_in_use", message))
        };
    }
    // What is not understood is not kept under its key.
    let made = match path {
        "/v1/checkout/sessions" => make_session(&mut account, &form)?,
        "/v1/payment_intents" => make_payment(&mut account, behaviour, &form)?,
        _ => return Err(refusal(404, invalid, "url", "Unrecognized request URL")),
    };
    account.answers.insert(key, (form, made.0, made.1.clone()));
    Ok(made)
}

fn place(object: &Value) -> &'static str {
    match object["object"].as_str() {
        Some("checkout.session") => "checkout/sessions",
        _ => "payment_intents",
    }
}

/// Every field once, and percent-encoded as forms are.
fn read_form(media_type: &str, body: &[u8]) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |message: &str| refusal(400, "invalid_request_error", "form", message);
    if media_type != "application/x-www-form-urlencoded" {
        return Err(wrong("not a form"));
    }
    if body.iter().any(|byte| !byte.is_ascii_graphic()) {
        return Err(wrong("not percent-encoded"));
    }
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if form.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return Err(wrong(&format!("Received {name} twice")));
        }
    }
    Ok(form)
}

/// The fields of a form, each of which must be known.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn of(form: &'a BTreeMap<String, String>) -> Self {
        Self(form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        self.0.remove(name)
    }

    fn must(&mut self, name: &str) -> Result<&'a str, Failure> {
        let message = format!("Missing required param: {name}.");
        let missing = || refusal(400, "invalid_request_error", "parameter_missing", &message);
        self.take(name).ok_or_else(missing)
    }

    fn must_be(&mut self, name: &str, wanted: &str) -> Result<(), Failure> {
        match self.must(name)? {
            value if value == wanted => Ok(()),
            value => Err(refusal(400, "invalid_request_error", name, &format!("Invalid {value}"))),
        }
    }

    /// Whole cents, at least 50 of them.
    fn cents(&mut self, name: &str) -> Result<u64, Failure> {
        let text = self.must(name)?;
        let whole = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
        let invalid = || {
            let message = format!("Invalid integer: {text}");
            refusal(400, "invalid_request_error", "parameter_invalid_integer", &message)
        };
        whole.flatten().filter(|cents| *cents >= 50).ok_or_else(invalid)
    }

    fn metadata(&mut self, of: &str) -> Value {
        let start = format!("{of}[");
        let names: Vec<&str> =
            self.0.keys().copied().filter(|name| name.starts_with(&start)).collect();
        let member = |name: &str| {
            let value = self.take(name).unwrap_or_default();
            let inner = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(']'));
            (inner.unwrap_or_default().to_owned(), json!(value))
        };
        names.into_iter().map(member).collect::<serde_json::Map<_, _>>().into()
    }

    fn must_be_empty(&self) -> Result<(), Failure> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = format!("Received unknown parameter: {name}");
                Err(refusal(400, "invalid_request_error", "parameter_unknown", &message))
            }
        }
    }
}

fn make_session(
    account: &mut Account,
    form: &BTreeMap<String, String>,
) -> Result<(u16, Value), Failure> {
    let mut fields = Fields::of(form);
    fields.must_be("mode", "payment")?;
    fields.must_be("payment_method_types[0]", "card")?;
    fields.must_be("line_items[0][quantity]", "1")?;
    fields.must_be("line_items[0][price_data][currency]", "usd")?;
    fields.must("line_items[0][price_data][product_data][name]")?;
    let cents = fields.cents("line_items[0][price_data][unit_amount]")?;
    let addresses = (fields.must("success_url")?, fields.must("cancel_url")?);
    let (metadata, of_payment) =
        (fields.metadata("metadata"), fields.metadata("payment_intent_data[metadata]"));
    fields.must_be_empty()?;
    let id = format!("cs_test_{}", account.objects.len());
    let session = json!({
        "id": id, "object": "checkout.session", "amount_total": cents, "currency": "usd",
        "mode": "payment", "status": "open", "payment_status": "unpaid", "payment_intent": null,
        "url": format!("https://checkout.stripe.example/c/{id}"), "metadata": metadata,
        "success_url": addresses.0, "cancel_url": addresses.1, "_payment_metadata": of_payment,
    });
    account.objects.insert(id, session.clone());
    Ok((200, session))
}

fn make_payment(
    account: &mut Account,
    behaviour: Behaviour,
    form: &BTreeMap<String, String>,
) -> Result<(u16, Value), Failure> {
    let mut fields = Fields::of(form);
    let cents = fields.cents("amount")?;
    fields.must_be("currency", "usd")?;
    fields.must_be("payment_method_types[0]", "card")?;
    fields.take("description");
    let (customer, method) = (fields.take("customer"), fields.take("payment_method"));
    let confirm = fields.take("confirm") == Some("true");
    let off_session = fields.take("off_session") == Some("true");
    let metadata = fields.metadata("metadata");
    fields.must_be_empty()?;
    if confirm != off_session || (confirm && method.is_none()) {
        return Err(refusal(400, "invalid_request_error", "confirm", "cannot be confirmed so"));
    }
    if behaviour == Behaviour::Refusing {
        let message = format!("No such PaymentMethod: '{}'", method.unwrap_or_default());
        return Err(refusal(400, "invalid_request_error", "resource_missing", &message));
    }
    let status = match behaviour {
        _ if !confirm => "requires_payment_method",
        Behaviour::Declining => "requires_payment_method",
        Behaviour::RequiringAction => "requires_action",
        Behaviour::Processing => "processing",
        _ => "succeeded",
    };
    let id = format!("pi_test_{}", account.objects.len());
    let received = if status == "succeeded" { cents } else { 0 };
    let payment = json!({
        "id": id, "object": "payment_intent", "amount": cents, "amount_received": received,
        "currency": "usd", "status": status, "client_secret": format!("{id}_secret_of_client"),
        "customer": customer, "payment_method": method, "metadata": metadata,
        "last_payment_error": null, "cancellation_reason": null,
    });
    account.objects.insert(id, payment.clone());
    if behaviour == Behaviour::Declining && confirm {
        let error = json!({"error": {
            "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
            "message": "Your card has insufficient funds.", "payment_intent": payment,
        }});
        return Ok((402, error));
    }
    Ok((200, payment))
}
