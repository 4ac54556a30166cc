//! The service from the outside: the real binary, a real socket, a real data directory, a real
//! `RabbitMQ`. One binary, so that it is linked once.
#![expect(clippy::indexing_slicing, reason = "what is missing in an answer fails the test")]
#![expect(unreachable_pub, reason = "nothing can reach into a test binary")]

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod cli_demo;
mod cli_prices;
mod cli_replay;
mod crash_disk;
mod crash_kill;
mod crash_stop;
mod gateway_mock;
mod gateway_sync;
mod http_accounts;
mod http_alerts;
mod http_analytics;
mod http_api_keys;
mod http_as_of;
mod http_audit;
mod http_auto_top_up;
mod http_bad_input;
mod http_billing;
mod http_billing_month;
mod http_clock;
mod http_consumption;
mod http_credentials;
mod http_events;
mod http_expiry;
mod http_exports;
mod http_gateway_api;
mod http_gateway_input;
mod http_holds;
mod http_limits;
mod http_prices;
mod http_quota;
mod http_reports;
mod http_revenue;
mod http_roles;
mod http_sign_in;
mod http_strategies;
mod http_strategy_runs;
mod http_stripe;
mod http_tenants;
mod http_users;
mod http_voucher_ends;
mod http_vouchers;
mod http_wallets;
mod http_webhook_money;
mod http_webhook_tenancy;
mod http_webhooks;
mod http_zones;
mod intake_events;
mod intake_failures;
mod intake_messages;
mod intake_outbox;
mod intake_pairing;
mod intake_producer;
mod mail;
