//! What processes use, as the kernel counts it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Time on a core that each thread of a process has had so far, by the thread's name.
pub(crate) fn threads(process: u32) -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return times };
    for task in tasks.flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos = read("schedstat").split(' ').next().and_then(|text| text.parse().ok());
        let time = Duration::from_nanos(nanos.unwrap_or(0));
        *times.entry(read("comm").trim().to_owned()).or_default() += time;
    }
    times
}

/// Time on a core that a whole process has had so far.
pub(crate) fn process(process: u32) -> Duration {
    threads(process).values().sum()
}

/// What each thread has had since `before`.
pub(crate) fn since(before: &BTreeMap<String, Duration>) -> BTreeMap<String, Duration> {
    let mut now = threads(std::process::id());
    for (name, time) in &mut now {
        *time = time.saturating_sub(before.get(name).copied().unwrap_or_default());
    }
    now
}

/// Bytes of this process that are in memory.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}
