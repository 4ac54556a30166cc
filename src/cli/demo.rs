//! `tallybook demo`: everything at once on this machine, to be looked at.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use schemas::{Name, Role};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{logging, stop};
use crate::clock::Clock;
use crate::config::{ApiKey, Config, Flags, Intake, Listen, Log, LogFormat, Secret};
use crate::demo::{self, Demo, Founded, Plan, Status};
use crate::service::{self, Book};
use crate::views::Views;

/// Where a broker usually is on a developer's machine.
const LOCAL_BROKER: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
/// How long a half waits for the other, so that a short demo shows what becomes of it.
const PAIRING_TIMEOUT_SECONDS: u32 = 120;
const STATUS_SECONDS: u64 = 3;
/// Who signs in where nobody is configured.
const ADMIN_EMAIL: &str = "admin@tallybook.example";

/// The flags of `demo`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where HTTP is served.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<Listen>,
    /// Where the log lives. A temporary directory, removed at the end, when left out.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many messages a second the company sends.
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..=100_000))]
    events_per_second: u64,
    /// The same company and the same calls from the same seed.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(arguments: Arguments, log_format: Option<LogFormat>) -> anyhow::Result<()> {
    let Arguments { listen, data_dir, events_per_second, seed } = arguments;
    let must_listen = listen.is_some();
    let mut config = Config::load(&Flags { config: None, data_dir: None, listen, log_format })?;
    if config.log.filter == Log::default().filter {
        // Refused messages belong to the show.
        "error".clone_into(&mut config.log.filter);
    }
    logging::start(&config.log)?;
    let temporary = match &data_dir {
        Some(_) => None,
        None => Some(TemporaryDirectory::create()?),
    };
    let directory = data_dir.or_else(|| temporary.as_ref().map(|created| created.0.clone()));
    config.data_dir = directory.unwrap_or_default();
    let key = random_secret()?;
    config.auth.api_keys.push(ApiKey {
        key: Some(Secret::from(key.as_str())),
        key_sha256: None,
        role: Role::Developer,
        organization: None,
        user: None,
        name: Name::try_from("demo").expect("invariant: a name"),
    });
    if config.vouchers.signing_key.is_none() && config.vouchers.signing_keys.is_empty() {
        config.vouchers.signing_key = Some(Secret::from(random_secret()?.as_str()));
    }
    let password = config.accounts.super_admin_password.take();
    let password = match password {
        Some(password) => password,
        None => Secret::from(random_secret()?.as_str()),
    };
    config.accounts.super_admin_email.get_or_insert_with(|| ADMIN_EMAIL.to_owned());
    config.accounts.super_admin_password = Some(password.clone());
    // Plain HTTP, as curl speaks it.
    config.accounts.secure_cookies = false;
    // Real payments and letters have nothing to do with a company that does not exist.
    config.stripe.secret_key = None;
    config.smtp.url = None;
    // A real gateway has nothing to do with users who do not exist.
    config.gateway.base_url = None;
    config.intake.pairing_timeout_seconds = PAIRING_TIMEOUT_SECONDS;
    let plan = Plan { seed, events_per_second };
    let email = config.accounts.super_admin_email.clone().unwrap_or_default();
    let show = Show { key, email, password, plan, is_temporary: temporary.is_some() };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(config, show, must_listen))
}

/// A secret that nobody can guess.
fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.context("cannot read `/dev/urandom`")?;
    Ok(format!("demo-{:032x}", u128::from_le_bytes(bytes)))
}

/// A directory that goes away with the demo.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn create() -> anyhow::Result<Self> {
        let name = format!("tallybook-demo-{}", uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        let created = DirBuilder::new().mode(0o700).create(&path);
        created.with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::error!(%error, directory = %self.0.display(), "cannot remove the demo's data");
        }
    }
}

/// What is told about the demo.
struct Show {
    key: String,
    email: String,
    password: Secret,
    plan: Plan,
    is_temporary: bool,
}

async fn serve(mut config: Config, show: Show, must_listen: bool) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let listener = listen(&config.listen, must_listen).await?;
    let address = listener.local_addr().context("the address of the listener")?;
    config.intake = choose_broker(config.intake).await;
    let (intake, clock) = (config.intake.clone(), Clock::system());
    let data_dir = config.data_dir.clone();
    let mut shown = None;
    let beside = |book: &Book| {
        let (writer, views) = (book.writer.clone(), book.views.clone());
        let (clock, intake, stop) = (clock.clone(), intake.clone(), stop.clone());
        shown = Some(tokio::spawn(async move {
            let found = Demo::found(writer, views.clone(), clock, show.plan);
            let lived = async {
                let (demo, founded) = found.await?;
                show.introduce(&founded, address, &intake, &data_dir)?;
                let told = tokio::spawn(show.tell(views, stop.clone()));
                demo.run(intake, stop.clone()).await;
                told.await.context("the status")
            };
            let lived = lived.await;
            // Without the company there is nothing to look at.
            stop.cancel();
            lived
        }));
    };
    let served = service::run_beside(config, clock.clone(), listener, stop.clone(), beside).await;
    stop.cancel();
    let lived = match shown {
        Some(task) => task.await.context("the demo's own task")?,
        None => Ok(()),
    };
    if let Err(error) = demo::clean_up(&intake).await {
        tracing::error!(%error, "the demo's queues are left at the broker");
    }
    served?;
    lived?;
    writeln!(io::stdout(), "stopped").ok();
    Ok(())
}

/// On the usual port, or, when that is taken and nobody asked for it, on any.
async fn listen(listen: &Listen, must_listen: bool) -> anyhow::Result<TcpListener> {
    let Listen { host, port } = listen;
    match TcpListener::bind((host.as_str(), *port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !must_listen => {
            TcpListener::bind((host.as_str(), 0)).await
        }
        bound => bound,
    }
    .with_context(|| format!("cannot listen on {listen}"))
}

/// The broker that is configured, or the usual local one, if it answers. Exchanges and queues are the
/// demo's own, so that it never takes a message that is meant for others.
async fn choose_broker(intake: Intake) -> Intake {
    let url = intake.url.unwrap_or_else(|| Secret::from(LOCAL_BROKER));
    let url = if demo::answers(url.expose()).await { Some(url) } else { None };
    let own = |name: &str| format!("tallybook-demo-{}.{name}", std::process::id());
    Intake {
        url,
        exchange: own("llm-events"),
        request_queue: own("llm-consumption-requests"),
        response_queue: own("llm-consumption-responses"),
        dead_exchange: own("llm-events.dead"),
        events_exchange: own("ledger-events"),
        ..intake
    }
}

impl Show {
    fn introduce(
        &self,
        founded: &Founded,
        address: SocketAddr,
        intake: &Intake,
        data_dir: &Path,
    ) -> io::Result<()> {
        let Founded { tenant, user, tenants, users, models } = founded;
        let Self { key, email, password, plan, is_temporary } = self;
        let base = format!("http://{}", reachable(address));
        let road = match intake.url.as_ref().and_then(|url| host_of(url.expose())) {
            Some(host) => format!("through RabbitMQ at {host}, exchange {}", intake.exchange),
            None => "inside the process, since no RabbitMQ answers".to_owned(),
        };
        let (directory, fate) =
            (data_dir.display(), if *is_temporary { "removed at the end" } else { "kept" });
        let curl =
            |flags: &str, path: &str| format!("curl {flags} -H 'X-API-Key: {key}' '{base}{path}'");
        let balance = curl("-s", &format!("/api/v1/quota?user_id={user}"));
        let aggregates = curl("-s", "/api/v1/consumption/aggregates?period=month&groupBy=model");
        let path = format!("/api/v1/consumption/history?organizationId={tenant}&limit=3");
        let history = curl("-s", &path);
        let scan = curl("-s -X POST", "/api/v1/admin/jobs/strategy-scan");
        let stream = curl("-sN", "/api/v1/events/stream");
        let post = |path: &str, body: &serde_json::Value| {
            let flags = format!("-s -H 'Content-Type: application/json' -d '{body}'");
            curl(&flags, path)
        };
        let hold = post(
            "/api/v1/holds",
            &serde_json::json!({
                "organizationId": tenant, "userId": user, "requestId": "hold-1", "model": "gpt-4",
                "promptTokens": 1_000, "maxTokens": 500,
            }),
        );
        let path = format!("/api/v1/billing/history?organizationId={tenant}&limit=2");
        let bills = curl("-s", &path);
        let wallet = curl("-s", &format!("/api/v1/billing/wallet?organizationId={tenant}"));
        let mut out = io::stdout().lock();
        write!(
            out,
            "Tallybook with a company that does not exist: {tenants} tenants, {users} users, \
             {models} models with prices.\n\
             {} messages a second come {road}. Seed {}. Data in {directory}, {fate}.\n\n\
             open     {base}/docs\n\
             API key  {key}\n\
             sign in  {email}, password {}\n\n\
             # what {user} may still use\n{balance}\n\
             # may this call of {user} go ahead? keeps money and quota free for it\n{hold}\n\
             # the money of {tenant}, and its newest daily bills\n{wallet}\n{bills}\n\
             # what each model cost, by month\n{aggregates}\n\
             # the newest calls of {tenant}\n{history}\n\
             # what the recharge strategies owe, given now instead of with the next hour\n{scan}\n\
             # every event as it happens\n{stream}\n\n\
             Ctrl-C stops it.\n\n",
            plan.events_per_second,
            plan.seed,
            password.expose(),
        )?;
        out.flush()
    }

    /// A line every few seconds, until `stop` or until nobody reads them.
    async fn tell(self, views: Views, stop: CancellationToken) {
        let mut before = Status::of(&views).events;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(STATUS_SECONDS)) => {}
            }
            let Status { events, calls, cost, unrated } = Status::of(&views);
            let rate = events.get().saturating_sub(before.get()) / STATUS_SECONDS;
            before = events;
            let told = writeln!(
                io::stdout(),
                "{events} events  {rate}/s  {calls} calls  {cost} USD so far  {unrated} without a price"
            );
            if told.is_err() {
                return;
            }
        }
    }
}

/// Where a listener on all addresses is reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

/// A broker's address without its password.
fn host_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(5672)))
}
