//! Stripe over HTTP, as far as top-ups need it: payments are asked for and looked up, and what its
//! webhooks say is known to be its own. It knows nothing of wallets, and shows its key to nobody.

mod cents;
mod client;
mod objects;
mod signature;

pub use cents::{Cents, CentsError};
pub use client::{Client, Failure, FailureKind, PaymentRequest, SessionRequest};
pub use objects::{CheckoutSession, Notice, PaymentIntent, PaymentStatus, SessionNotice};
pub use signature::{SignatureError, WebhookSecret};
