//! Programs that a benchmark starts beside itself, and ends.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a program may take to end when it is asked to.
const ENDING: Duration = Duration::from_mins(1);

/// A started program, in a process group of its own; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

impl Program {
    /// Starts `command`; what it prints goes to the file `output`.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        output: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::create(output)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Self { name, child, output: output.to_owned() })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `is_ready`, for at most `limit`.
    pub(crate) fn wait_until(
        &mut self,
        limit: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, self.last_lines());
            }
            if started.elapsed() > limit {
                bail!("{} was not ready within {limit:?}: {}", self.name, self.last_lines());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.end("-TERM")?;
        Ok(())
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.end("-KILL")?;
        Ok(())
    }

    /// What it printed last.
    pub(crate) fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    fn end(&mut self, signal: &str) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        signal_group(signal, self.child.id())?;
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > ENDING {
                signal_group("-KILL", self.child.id())?;
                self.child.wait()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.end("-TERM") {
            eprintln!("could not end {}: {error}", self.name);
        }
    }
}

/// Sends a signal to the process group that began with process `leader`.
fn signal_group(signal: &str, leader: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").args([signal, "--", &format!("-{leader}")]).status()?;
    if !status.success() {
        bail!("`kill {signal}` ended with {status}");
    }
    Ok(())
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Runs `command` to its end and gives what it printed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("could not start {command:?}"))?;
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, error.trim());
    }
    Ok(out.into_owned())
}
