//! A private PostgreSQL, durable as it comes, and `pgbench` with it: the database that the same
//! bookkeeping would be written for otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use super::company::USERS;
use super::disk;
use super::process::{self, Program};

/// One call in one transaction: the record, whose primary key is what makes it count once, the
/// wallet and the audit row. Every user has a wallet, so that clients seldom wait for each other.
const ONE: &str = "\
\\set user random(0, 1999)
\\set tokens random(60, 4000)
BEGIN;
INSERT INTO consumption VALUES (gen_random_uuid(), :user % 50, :user, :user % 20, now(), \
:tokens, :tokens / 4, :tokens * 0.00000125);
UPDATE wallet SET balance = balance - :tokens * 0.00000125 WHERE id = :user;
INSERT INTO audit (wallet, action, tokens) VALUES (:user, 'consumption', :tokens);
COMMIT;
";

/// A hundred calls of one user in one transaction, made by the server itself.
const HUNDRED: &str = "\
\\set user random(0, 1999)
\\set tokens random(60, 4000)
BEGIN;
INSERT INTO consumption SELECT gen_random_uuid(), :user % 50, :user, n % 20, now(), :tokens + n, \
:tokens / 4, :tokens * 0.00000125 FROM generate_series(1, 100) AS n;
UPDATE wallet SET balance = balance - :tokens * 0.000125 WHERE id = :user;
INSERT INTO audit (wallet, action, tokens) VALUES (:user, 'consumption', :tokens);
COMMIT;
";

const TABLES: &str = "
CREATE TABLE consumption (
    request_id uuid PRIMARY KEY, tenant int NOT NULL, account int NOT NULL, model int NOT NULL,
    at timestamptz NOT NULL, prompt bigint NOT NULL, completion bigint NOT NULL,
    cost numeric(30, 18) NOT NULL
);
CREATE TABLE wallet (id int PRIMARY KEY, balance numeric(30, 18) NOT NULL);
CREATE TABLE audit (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), wallet int NOT NULL,
    action text NOT NULL, tokens bigint NOT NULL
);
";

/// Settings that only help it; `fsync` and `synchronous_commit` stay as they are: on.
const SETTINGS: [&str; 8] = [
    "listen_addresses=",
    "synchronous_commit=on",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "jit=off",
    "max_connections=100",
];

/// What a transaction records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// One call.
    One,
    /// A hundred.
    Hundred,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    scripts: TempDir,
    _server: Program,
    /// Goes after the server has ended.
    _data: TempDir,
}

/// Why there is no server here.
pub(crate) const MISSING: &str = "PostgreSQL is not installed: apt-get install postgresql-15";

/// The directory of the newest installed server's programs.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            let whole = ["initdb", "postgres", "pgbench", "psql"]
                .iter()
                .all(|program| programs.join(program).exists());
            whole.then_some((version, programs))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, programs)| programs)
}

impl Postgres {
    /// Starts a server with empty tables on the disk that the log is on.
    pub(crate) fn start(programs: PathBuf) -> anyhow::Result<Self> {
        let data = disk::temporary("postgres")?;
        let scripts = tempfile::Builder::new().prefix("tallybook-pg-").tempdir()?;
        if process::is_root() {
            for directory in [data.path(), scripts.path()] {
                process::run(Command::new("chown").arg("postgres").arg(directory))?;
            }
        }
        let cluster = data.path().join("cluster");
        process::run(
            as_postgres(&programs.join("initdb"))
                .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"])
                .arg("-D")
                .arg(&cluster)
                .current_dir("/"),
        )
        .context("could not create a database; can the user postgres reach target/tmp?")?;
        let mut command = as_postgres(&programs.join("postgres"));
        command.arg("-D").arg(&cluster).arg("-k").arg(scripts.path()).current_dir("/");
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        let mut server =
            Program::start("PostgreSQL", &mut command, &data.path().join("postgres.log"))?;
        let socket = scripts.path().to_owned();
        let psql = programs.join("psql");
        server.wait_until(Duration::from_mins(1), || {
            process::run(client(&psql, &socket).args(["-c", "SELECT 1"])).is_ok()
        })?;
        let wallets = format!(
            "INSERT INTO wallet SELECT id, 1000000 FROM generate_series(0, {}) AS id; ANALYZE",
            USERS - 1
        );
        for statement in [TABLES, &wallets] {
            process::run(client(&psql, &socket).args(["-v", "ON_ERROR_STOP=1", "-c", statement]))?;
        }
        fs::write(scripts.path().join("one.sql"), ONE)?;
        fs::write(scripts.path().join("hundred.sql"), HUNDRED)?;
        Ok(Self { programs, scripts, _server: server, _data: data })
    }

    /// Calls recorded a second by `clients` over `seconds`.
    pub(crate) fn rate(&self, load: Load, clients: u32, seconds: u64) -> anyhow::Result<f64> {
        let (script, rows) = match load {
            Load::One => ("one.sql", 1.0),
            Load::Hundred => ("hundred.sql", 100.0),
        };
        let printed = process::run(
            client(&self.programs.join("pgbench"), self.scripts.path())
                .args(["--no-vacuum", "--protocol=prepared"])
                .arg(format!("--client={clients}"))
                .arg(format!("--jobs={}", clients.min(2)))
                .arg(format!("--time={seconds}"))
                .arg(format!("--file={}", self.scripts.path().join(script).display()))
                .arg("postgres"),
        )?;
        let line = printed.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = line.and_then(|line| line.split(' ').next()).and_then(|text| text.parse().ok());
        let rate: f64 = rate.with_context(|| format!("pgbench gave no rate: {printed}"))?;
        Ok(rate * rows)
    }
}

/// The server refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if process::is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn client(program: &Path, socket: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-h").arg(socket).args(["-U", "postgres"]).current_dir("/");
    command
}
