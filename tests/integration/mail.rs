//! E-mail: the right people read exact figures, in order, and whatever the server does, nobody else
//! waits for it.

use schemas::{Change, Event, Sealed, TenantId, TenantUpdated, TermChanges};
use serde_json::{Value, json};
use tallybook::personal::{EMAIL, Vault};

use crate::support::calls::NOON;
use crate::support::http::call;
use crate::support::service::{Service, Setup};
use crate::support::smtp::MailServer;
use crate::support::{eventually, free_ports, past};

const BILLING: &str = "billing@acme.example";
const CONTACT: &str = "Ann <ann@acme.example>";

/// A service that writes to the people of `acme` through the server at `url`.
async fn writing(url: &str) -> Service {
    let mut service = Setup::new()
        .manual_clock(NOON)
        .variable("TALLYBOOK__SMTP__URL", url)
        .variable("TALLYBOOK__SMTP__FROM", "Books <books@tallybook.example>")
        .start()
        .await;
    // There is nobody to write to yet.
    let event = pay_in(&service, "1000").await;
    let cursor = service.data_dir().join("mail.cursor");
    eventually("it is passed over", async || {
        let cursor = std::fs::read_to_string(&cursor).unwrap_or_default();
        if cursor.trim_end() == event.to_string() { Ok(()) } else { Err(cursor) }
    })
    .await;
    service.stop().await;
    let vault = Vault::open(&service.data_dir()).expect("keys");
    let key = vault.new_key().expect("a key");
    let sealed =
        |text| -> Change<Sealed> { Change::Set(vault.seal(key, EMAIL, text).expect("sealed")) };
    let terms = TermChanges {
        contact_email: sealed(CONTACT),
        billing_email: sealed(BILLING),
        ..TermChanges::default()
    };
    let updated = TenantUpdated { tenant: TenantId(0), terms };
    past::append(&service, NOON, &[Event::TenantUpdated(Box::new(updated))]);
    drop(vault);
    service.start_again().await;
    service
}

async fn pay_in(service: &Service, amount: &str) -> u64 {
    let body = json!({"amount": amount, "reference": "invoice 7"});
    service.send("/api/v1/admin/wallets/acme/top-ups", &body).await.expect(201).sequence()
}

async fn check(service: &Service) -> Value {
    service.get("/health/ready").await["checks"]["mail"].clone()
}

#[tokio::test]
async fn the_right_people_read_exact_figures() {
    let server = MailServer::start().await;
    let service = writing(&server.url()).await;
    let event = pay_in(&service, "12.000000000000000001").await;
    let [letter] = &server.gets(1).await[..] else { panic!("one") };
    assert_eq!(letter.from, "books@tallybook.example");
    assert_eq!(letter.to, BILLING);
    assert_eq!(letter.header("Subject"), "acme: 12.000000000000000001 USD were paid in");
    assert_eq!(letter.header("Message-ID"), format!("<evt_{event}@tallybook>"));
    assert_eq!(letter.header("From"), "Books <books@tallybook.example>");
    assert!(letter.header("Date").starts_with("Sat, 01 Mar 2025 12:00:00"), "{}", letter.text);
    assert_eq!(
        letter.body().trim_end(),
        format!(
            "Organization: acme\nAmount: 12.000000000000000001 USD\nReference: invoice 7\n\
             Time: 2025-03-01T12:00:00Z\nEvent: {event} (wallet.topped_up)"
        )
    );
    // Limits and quota are for others than money.
    service.give("ann", &json!(100), "2025-06-01T00:00:00Z").await;
    service.send("/api/v1/consumption", &call("a", 90, 0)).await.expect(201);
    let letters = server.gets(2).await;
    assert_eq!(letters[1].to, "ann@acme.example");
    assert_eq!(letters[1].header("Subject"), "acme: 80 % of a user's quota are used");
    assert!(
        letters[1].body().contains("User: ann\nQuota used: 90 of 100\n"),
        "{}",
        letters[1].text
    );
    assert_eq!(check(&service).await, "connected");
    for address in [BILLING, CONTACT] {
        assert!(!service.log().contains(address));
    }
}

#[tokio::test]
async fn the_past_is_not_written_about_and_a_kill_writes_nothing_twice() {
    let server = MailServer::start().await;
    let mut service = writing(&server.url()).await;
    pay_in(&service, "1").await;
    pay_in(&service, "2").await;
    server.gets(2).await;
    let cursor = service.data_dir().join("mail.cursor");
    // On disk before the next letter.
    pay_in(&service, "3").await;
    server.gets(3).await;
    service.kill();
    service.start_again().await;
    pay_in(&service, "4").await;
    let subjects = |letters: &[crate::support::smtp::Letter]| -> Vec<String> {
        letters.iter().map(|letter| letter.header("Subject").to_owned()).collect()
    };
    eventually("the last letter arrives", async || {
        let subjects = subjects(&server.gets(4).await);
        let last = subjects.last().expect("one").clone();
        if last == "acme: 4 USD were paid in" { Ok(()) } else { Err(last) }
    })
    .await;
    let seen = subjects(&server.gets(4).await);
    let firsts = ["1", "2", "3"].map(|amount| format!("acme: {amount} USD were paid in"));
    assert_eq!(seen[..3], firsts);
    assert!(seen.len() <= 5, "only the one that was under way may come twice: {seen:?}");

    // Switched on anew, it begins where the log ends.
    service.stop().await;
    std::fs::remove_file(&cursor).expect("a cursor");
    service.start_again().await;
    pay_in(&service, "5").await;
    let letters = server.gets(seen.len() + 1).await;
    assert_eq!(letters.len(), seen.len() + 1);
    assert_eq!(subjects(&letters).last().expect("one"), "acme: 5 USD were paid in");
}

#[tokio::test]
async fn what_is_put_off_comes_in_order_and_what_is_refused_is_given_up() {
    let server = MailServer::start().await;
    let service = writing(&server.url()).await;
    server.refuse_next("451 later");
    server.refuse_next("421 later still");
    pay_in(&service, "1").await;
    pay_in(&service, "2").await;
    let letters = server.gets(2).await;
    let subjects: Vec<_> = letters.iter().map(|letter| letter.header("Subject")).collect();
    assert_eq!(subjects, ["acme: 1 USD were paid in", "acme: 2 USD were paid in"]);
    assert_eq!(server.attempts(), 4);

    server.refuse_next("550 there is nobody like that here");
    pay_in(&service, "3").await;
    pay_in(&service, "4").await;
    let letters = server.gets(3).await;
    assert_eq!(letters[2].header("Subject"), "acme: 4 USD were paid in");
    assert_eq!(server.attempts(), 6, "nobody is asked again");
    assert!(service.log().contains("a letter is given up"));
    let metrics = service.read("/metrics").await.expect(200).text;
    for (outcome, count) in [("sent", 3), ("put_off", 2), ("given_up", 1)] {
        let line = format!("mail_letters_total{{outcome=\"{outcome}\"}} {count}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    assert!(!service.log().contains(BILLING), "who it was is in no log");
}

#[tokio::test]
async fn nobody_waits_for_a_mail_server_that_is_not_there() {
    let [port] = free_ports();
    let service = writing(&format!("smtp://127.0.0.1:{port}")).await;
    pay_in(&service, "1").await;
    eventually("it is noticed", async || {
        let check = check(&service).await;
        if check == "reconnecting" { Ok(()) } else { Err(check.to_string()) }
    })
    .await;
    // The service is ready and works.
    pay_in(&service, "2").await;
    assert_eq!(service.read("/health/ready").await.status, 200);
    let server = MailServer::start_at(port).await;
    let letters = server.gets(2).await;
    let subjects: Vec<_> = letters.iter().map(|letter| letter.header("Subject")).collect();
    assert_eq!(subjects, ["acme: 1 USD were paid in", "acme: 2 USD were paid in"]);
}

#[tokio::test]
async fn without_a_server_there_is_no_mail() {
    let service = Setup::new().start().await;
    assert_eq!(check(&service).await, "off");
    assert!(!service.data_dir().join("mail.cursor").exists());
    for (name, value, reason) in [
        ("URL", "http://localhost", "must be an `smtp://`"),
        ("URL", "smtp://localhost?tls=none", "must end after the host"),
        ("FROM", "nobody", "must be an e-mail address"),
    ] {
        let setup = Setup::new().variable(&format!("TALLYBOOK__SMTP__{name}"), value);
        let mut service = setup.begin();
        service.kill();
        let (status, said) = service.start_in_vain().await;
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.contains("smtp.") && said.contains(reason), "{said}");
    }
}

#[tokio::test]
async fn a_password_in_clear_is_warned_of() {
    let [port] = free_ports();
    for (scheme, is_warned) in [("smtp", true), ("smtp+starttls", false), ("smtps", false)] {
        let url = format!("{scheme}://books:open-sesame@127.0.0.1:{port}");
        let service = Setup::new().variable("TALLYBOOK__SMTP__URL", &url).start().await;
        let log = service.log();
        assert_eq!(log.contains("goes in clear"), is_warned, "{scheme}: {log}");
        assert!(!log.contains("open-sesame"), "{log}");
    }
}
