//! `tallybook replay verify`: names everything in a log that is not as it must be. It goes on after
//! each problem; what the events mean is checked up to the first one that is missing.

use std::collections::VecDeque;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use projections::{PARTS, Projections};
use replay::{Anchor, Checkpoints, SavedCheckpoint, VerifyReport, digest, verify_directory};
use schemas::{Recorded, Sequence, TenantId, UserId};

use super::Common;
use crate::cli::output::{Document, Text, rows};
use crate::cli::progress::Progress;

/// The flags of `replay verify`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
}

rows! {
    /// Something that is not as it must be.
    ProblemRow {
        sequence: Sequence,
        part: &'static str,
        problem: String,
    }
}

/// 0 when the log is sound, 1 when it is not.
pub(super) fn run(Arguments { common }: &Arguments) -> anyhow::Result<ExitCode> {
    let directory = &common.data_dir;
    let mut meaning = Meaning::default();
    meaning.expect_checkpoints(Checkpoints::existing(directory))?;
    let head = Anchor::read(directory).ok().flatten().map(|mark| mark.sequence.get());
    let report = {
        let bar = Progress::new("verifying", head, common.json);
        verify_directory(
            directory,
            |events| events.iter().for_each(|recorded| meaning.take(recorded)),
            |progress| bar.reach(progress.sequence),
        )?
    };
    meaning.finish(&report);
    let problems = all_problems(&report, meaning.problems);
    let document = document(&report, &meaning.state, meaning.checkpoints_equal, &problems)?;
    document.print(common.json)?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What follows from the events: the folds, and the checkpoints on the way.
#[derive(Default)]
struct Meaning {
    state: Projections,
    /// An event was missing, so that nothing that follows has a meaning.
    broke_off: bool,
    /// In ascending order.
    checkpoints: VecDeque<SavedCheckpoint>,
    checkpoints_equal: u64,
    problems: Vec<ProblemRow>,
}

impl Meaning {
    fn expect_checkpoints(&mut self, checkpoints: Option<Checkpoints>) -> anyhow::Result<()> {
        let Some(checkpoints) = checkpoints else { return Ok(()) };
        for checkpoint in checkpoints.all().context("cannot look at the checkpoints")? {
            match checkpoint {
                Ok(saved) => self.checkpoints.push_back(saved),
                Err(skipped) => {
                    self.report(skipped.sequence, "checkpoint", with_causes(skipped.reason));
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, sequence: Sequence, part: &'static str, problem: String) {
        self.problems.push(ProblemRow { sequence, part, problem });
    }

    fn take(&mut self, recorded: &Recorded) {
        self.broke_off |= recorded.sequence != self.state.head().next();
        if self.broke_off {
            return;
        }
        self.state.apply(recorded);
        let here = |saved: &mut SavedCheckpoint| saved.mark().sequence == recorded.sequence;
        if let Some(saved) = self.checkpoints.pop_front_if(here) {
            self.compare(&saved);
        }
    }

    /// A checkpoint's parts with the folds where it stands.
    fn compare(&mut self, saved: &SavedCheckpoint) {
        let mut differing = Vec::new();
        for part in self.state.parts() {
            match saved.check_part(part.name, part.version) {
                Ok(found) if found == digest(&part) => {}
                Ok(_) => differing.push(format!("`{}` differs from the rebuild", part.name)),
                Err(error) => differing.push(with_causes(error)),
            }
        }
        if differing.is_empty() {
            self.checkpoints_equal = self.checkpoints_equal.saturating_add(1);
        }
        let sequence = saved.mark().sequence;
        for problem in differing {
            self.report(sequence, "checkpoint", problem);
        }
    }

    fn finish(&mut self, report: &VerifyReport) {
        let folded = self.state.head();
        if let Some(head) = report.head.filter(|head| head.sequence > folded) {
            let problem = format!(
                "what follows event {folded} could not be folded up to {}: its meaning is unchecked",
                head.sequence
            );
            self.report(folded.next(), "fold", problem);
        }
        for saved in std::mem::take(&mut self.checkpoints) {
            let problem = "could not be compared: no batch of the log ends there".to_owned();
            self.report(saved.mark().sequence, "checkpoint", problem);
        }
        let broken = self.state.books.ledger.violations().to_vec();
        for violation in broken {
            self.report(violation.sequence, "posting", violation.detail);
        }
        self.balance();
    }

    /// All accounts together, and each account in the fold that decides and in the ledger.
    fn balance(&mut self) {
        let books = &self.state.books;
        let (names, ledger, head) = (&books.names, &books.ledger, self.state.head());
        let mut found = Vec::new();
        let (quota, money) = ledger.trial_balance();
        if quota != 0 {
            found.push(format!("all quota accounts together are {quota} millionths, not zero"));
        }
        if money != 0 {
            found.push(format!("all money accounts together are {money} × 10^-18 USD, not zero"));
        }
        for (user, name) in names.all::<UserId>() {
            let account = books.quota.account(user);
            let (lots, overdraft) = (ledger.lots(user), ledger.overdraft(user));
            let is_equal =
                lots == account.remaining() && overdraft.checked_neg() == Some(account.overdraft());
            if !is_equal {
                found.push(format!(
                    "user `{name}`: the ledger has {lots} in lots and {overdraft} overdrawn, the \
                     quota {} and {}",
                    account.remaining(),
                    account.overdraft()
                ));
            }
        }
        for (tenant, name) in names.all::<TenantId>() {
            let wallet = books.wallets.wallet(tenant);
            let (balance, accrued) = (ledger.wallet(tenant), ledger.accrued(tenant));
            let is_equal =
                balance == wallet.balance && accrued.checked_neg() == Some(wallet.accrued);
            if !is_equal {
                found.push(format!(
                    "tenant `{name}`: the ledger has a balance of {balance} and {accrued} accrued, \
                     the wallet {} and {}",
                    wallet.balance, wallet.accrued
                ));
            }
        }
        for problem in found {
            self.report(head, "account", problem);
        }
    }
}

fn with_causes(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

/// In the order of the log, the log's own first.
fn all_problems(report: &VerifyReport, of_meaning: Vec<ProblemRow>) -> Vec<ProblemRow> {
    let of_log = report.problems.iter().map(|problem| ProblemRow {
        sequence: problem.sequence,
        part: "log",
        problem: problem.flaw.to_string(),
    });
    let mut all: Vec<ProblemRow> = of_log.chain(of_meaning).collect();
    all.sort_by_key(|problem| problem.sequence);
    all
}

fn document(
    report: &VerifyReport,
    state: &Projections,
    checkpoints_equal: u64,
    problems: &[ProblemRow],
) -> anyhow::Result<Document> {
    let VerifyReport { events, frames, bytes, head, problems: _ } = report;
    let books = &state.books;
    let mut document = Document::default();
    document.hidden("is_sound", problems.is_empty())?;
    document.field("events", *events)?;
    document.field("frames", *frames)?;
    document.field("bytes", *bytes)?;
    document.field("head", head.map_or(Sequence::ZERO, |mark| mark.sequence))?;
    document
        .field("hash", Text(head.map(|mark| mark.hash).unwrap_or(replay::FrameHash::GENESIS)))?;
    document.field("folded", state.head())?;
    document.field("tenants", books.names.all::<TenantId>().count())?;
    document.field("users", books.names.all::<UserId>().count())?;
    document.field("checkpoints_equal", checkpoints_equal)?;
    document.field("verdict", if problems.is_empty() { "sound" } else { "broken" })?;
    document.table("problems", problems)?;
    debug_assert_eq!(state.parts().len(), PARTS.len(), "every part is compared");
    Ok(document)
}
