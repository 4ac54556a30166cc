//! The figures of a benchmark, each beside its floor: as a table for people, or as one JSON object
//! a line.

use std::time::Duration;

use serde_json::json;

/// How the figures are printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Given by `cargo bench`; changes nothing.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// So many a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// What a figure should reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// Nothing: it is printed for information.
    None,
    /// Value ÷ floor, at least.
    RatioAtLeast(f64),
    /// Value ÷ floor, at most.
    RatioAtMost(f64),
    /// The value itself, at least.
    AtLeast(f64),
    /// The value itself, at most.
    AtMost(f64),
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// What `value` and `floor` count.
    pub(crate) unit: Unit,
    /// The median of the rounds.
    pub(crate) value: f64,
    /// What stands beside it, and the median of its rounds.
    pub(crate) floor: Option<(String, f64)>,
    /// Value ÷ floor in the round where it was lowest and where it was highest.
    pub(crate) spread: Option<(f64, f64)>,
    /// What it should reach.
    pub(crate) target: Target,
    /// How much was done.
    pub(crate) sizes: Vec<(&'static str, u64)>,
}

impl Figure {
    /// A figure from rounds that took turns with the rounds of its floor.
    pub(crate) fn of_rounds(
        name: &str,
        unit: Unit,
        rounds: &[f64],
        (floor, floor_rounds): (&str, &[f64]),
        target: Target,
    ) -> Self {
        let ratios: Vec<f64> =
            rounds.iter().zip(floor_rounds).map(|(value, floor)| value / floor).collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self {
            name: name.to_owned(),
            unit,
            value: median(rounds),
            floor: Some((floor.to_owned(), median(floor_rounds))),
            spread: Some((low, high)).filter(|_| ratios.len() > 1),
            target,
            sizes: Vec::new(),
        }
    }

    /// A figure without a floor.
    pub(crate) fn alone(name: &str, unit: Unit, value: f64, target: Target) -> Self {
        Self {
            name: name.to_owned(),
            unit,
            value,
            floor: None,
            spread: None,
            target,
            sizes: Vec::new(),
        }
    }

    /// The same, with what was done for it.
    pub(crate) fn sized(self, sizes: &[(&'static str, u64)]) -> Self {
        Self { sizes: sizes.to_vec(), ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.floor.as_ref().map(|(_, floor)| self.value / floor)
    }

    fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::RatioAtLeast(least) => Some(self.ratio()? >= least),
            Target::RatioAtMost(most) => Some(self.ratio()? <= most),
            Target::AtLeast(least) => Some(self.value >= least),
            Target::AtMost(most) => Some(self.value <= most),
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::None => "–".to_owned(),
            Target::RatioAtLeast(least) => format!("≥ {}", plain(least)),
            Target::RatioAtMost(most) => format!("≤ {}", plain(most)),
            Target::AtLeast(least) => format!("≥ {}", human(least, self.unit)),
            Target::AtMost(most) => format!("≤ {}", human(most, self.unit)),
        }
    }
}

/// All rows of one benchmark.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    output: Output,
    rows: Vec<[String; 6]>,
    notes: Vec<String>,
}

impl Report {
    /// An empty report; says what is measured and on how many cores.
    pub(crate) fn new(bench: &'static str, output: Output) -> Self {
        let report = Self { bench, output, rows: Vec::new(), notes: Vec::new() };
        if output.json {
            println!("{}", json!({"bench": bench, "cores": cores()}));
        } else {
            println!("{bench}: {} cores", cores());
        }
        report
    }

    /// Takes a figure in; as JSON it is printed at once.
    pub(crate) fn add(&mut self, figure: &Figure) {
        if self.output.json {
            let sizes: serde_json::Map<_, _> =
                figure.sizes.iter().map(|(name, size)| ((*name).to_owned(), json!(size))).collect();
            println!(
                "{}",
                json!({
                    "bench": self.bench,
                    "name": figure.name,
                    "unit": format!("{:?}", figure.unit),
                    "value": figure.value,
                    "floor": figure.floor.as_ref().map(|(_, floor)| floor),
                    "floor_name": figure.floor.as_ref().map(|(name, _)| name),
                    "ratio": figure.ratio(),
                    "ratio_low": figure.spread.map(|(low, _)| low),
                    "ratio_high": figure.spread.map(|(_, high)| high),
                    "target": figure.target_text(),
                    "met": figure.is_met(),
                    "sizes": sizes,
                })
            );
            return;
        }
        let floor = figure.floor.as_ref().map_or_else(
            || "–".to_owned(),
            |(name, floor)| format!("{} {name}", human(*floor, figure.unit)),
        );
        let ratio = figure.ratio().map_or_else(|| "–".to_owned(), plain);
        let spread = figure
            .spread
            .map_or_else(String::new, |(low, high)| format!(" ({}…{})", plain(low), plain(high)));
        let verdict = match figure.is_met() {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        self.rows.push([
            figure.name.clone(),
            human(figure.value, figure.unit),
            floor,
            format!("{ratio}{spread}"),
            figure.target_text(),
            verdict.to_owned(),
        ]);
    }

    /// Shows that a row is missing, and why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        if self.output.json {
            println!("{}", json!({"bench": self.bench, "name": name, "skipped": reason}));
        } else {
            println!("SKIPPED {name}: {reason}");
            let dash = || "–".to_owned();
            self.rows.push([name.to_owned(), dash(), dash(), dash(), dash(), "SKIPPED".to_owned()]);
            self.notes.push(format!("skipped: {name}: {reason}"));
        }
    }

    /// Something to know beside the figures.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.output.json {
            println!("{}", json!({"bench": self.bench, "note": note}));
        } else {
            self.notes.push(note);
        }
    }

    /// Says what goes on now, to whoever waits.
    pub(crate) fn progress(&self, text: &str) {
        if !self.output.json {
            eprintln!("… {text}");
        }
    }

    /// Prints the table.
    pub(crate) fn finish(self) {
        if self.output.json {
            return;
        }
        let head = ["figure", "value", "floor", "ratio (low…high)", "target", ""];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.rows);
        let mut widths = [0_usize; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        println!();
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        for note in self.notes {
            println!("  {note}");
        }
    }
}

/// How many cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The middle value; of an even number of values, the lower middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which `share` (0 to 100) percent of all lie.
pub(crate) fn percentile(sorted: &[Duration], share: usize) -> Duration {
    let place = sorted.len().saturating_mul(share) / 100;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// `count` things in `time`, as a rate.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// A value with its unit, to three digits.
pub(crate) fn human(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => match value {
            v if v >= 1e6 => format!("{}M/s", plain(v / 1e6)),
            v if v >= 1e3 => format!("{}k/s", plain(v / 1e3)),
            v => format!("{}/s", plain(v)),
        },
        Unit::Seconds => match value {
            v if v >= 1.0 => format!("{} s", plain(v)),
            v if v >= 1e-3 => format!("{} ms", plain(v * 1e3)),
            v => format!("{} µs", plain(v * 1e6)),
        },
        Unit::Bytes => match value {
            v if v >= 1e9 => format!("{} GB", plain(v / 1e9)),
            v if v >= 1e6 => format!("{} MB", plain(v / 1e6)),
            v => format!("{} B", plain(v)),
        },
    }
}

fn plain(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
