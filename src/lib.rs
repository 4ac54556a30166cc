//! Who asks: the service around the log. Configuration, the clock, the rules that decide, the one
//! writer, the intake from RabbitMQ, HTTP, the jobs and the command line.

mod alerting;
mod broker;
pub mod cli;
pub mod clock;
pub mod config;
mod cursor;
mod demo;
pub mod domain;
mod first_developer;
pub mod gateway;
pub mod http;
pub mod intake;
pub mod jobs;
mod mail;
pub mod outbox;
pub mod passwords;
pub mod payments;
pub mod personal;
pub mod reports;
pub mod service;
pub mod stripe;
pub mod views;
pub mod webhooks;
pub mod writer;
