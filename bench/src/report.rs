//! The figures of a whole run: as a table and as JSON.

use std::fmt::Write as _;
use std::num::NonZero;

use serde::Serialize;

use crate::cases::Variant;
use crate::figures::{Figures, median};
use crate::measure::Measured;

/// What was measured with what.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Setup {
    cpu: String,
    cpus: usize,
    kernel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    rounds: usize,
    warm: usize,
}

impl Setup {
    /// This machine, with the version of Node.js, and so many rounds and warm invocations.
    pub(crate) fn here(node: Option<String>, rounds: usize, warm: usize) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpu: name.map_or("unknown", |(_, name)| name).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, NonZero::get),
            // Without its build.
            kernel: read("/proc/sys/kernel/osrelease")
                .trim()
                .split('-')
                .next()
                .unwrap_or_default()
                .to_owned(),
            node,
            rounds,
            warm,
        }
    }
}

/// All figures. Times are in milliseconds, sizes in megabytes (10^6 bytes).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    setup: Setup,
    /// Without a limit.
    pub(crate) subjects: Vec<Figures>,
    /// At the shares of a CPU that come with sizes of memory.
    pub(crate) shares: Vec<Share>,
}

/// The figures at a share of a CPU.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Share {
    /// The size of memory that it comes with, in MB.
    pub(crate) memory: u32,
    /// What was measured.
    pub(crate) subjects: Vec<Figures>,
}

impl Report {
    /// Of everything that was measured.
    pub(crate) fn of(setup: Setup, measured: &[Measured<'_>], shares: &[(u32, Vec<Measured<'_>>)]) -> Self {
        let share = |(memory, measured): &(u32, Vec<Measured<'_>>)| Share {
            memory: *memory,
            subjects: Figures::of(measured),
        };
        Self { setup, subjects: Figures::of(measured), shares: shares.iter().map(share).collect() }
    }

    /// Everything as tables in Markdown: ratios first.
    pub(crate) fn tables(&self) -> String {
        let Setup { cpu, cpus, kernel, node, rounds, warm } = &self.setup;
        let node = node.as_ref().map_or(String::new(), |node| format!(", Node.js {node}"));
        let mut text = format!(
            "{cpu}, {cpus} CPUs, Linux {kernel}{node}: {rounds} rounds of {warm} warm invocations, a tenth of them where \
             passwords are hashed.\n\n"
        );
        self.ratios(&mut text);
        self.absolutes(&mut text);
        self.at_shares(&mut text);
        self.summary(&mut text);
        text
    }

    fn ratios(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "CPU of a start (init and the first invocation), CPU of a warm invocation, and memory, medians of rounds:\n"
        );
        let _ = writeln!(
            text,
            "| function | start / floor's | Node.js's start / start | start / previous | warm − floor's, ms | Node.js's warm / warm | warm / previous | memory / floor's | Node.js's memory / memory |"
        );
        let _ = writeln!(text, "|---|---|---|---|---|---|---|---|---|");
        for figures in self.subjects.iter().filter(|figures| figures.variant == Variant::Rust) {
            let or_nothing = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let [node_start, previous_start, node_warm, previous_warm, node_memory] = [
                figures.node_start,
                figures.previous_start,
                figures.node_warm,
                figures.previous_warm,
                figures.node_memory,
            ]
            .map(or_nothing);
            let Figures { name, floors, beyond, memory_floors, .. } = figures;
            let _ = writeln!(
                text,
                "| {name} | {floors:.2} | {node_start} | {previous_start} | {beyond:.3} | {node_warm} | {previous_warm} | {memory_floors:.2} | {node_memory} |"
            );
        }
    }

    fn absolutes(&self, text: &mut String) {
        let _ = writeln!(text, "\nMilliseconds, of a start's two parts CPU / wall clock:\n");
        let _ = writeln!(
            text,
            "| function | MB | init | first | warm, CPU | warm p50, wall | warm p99, wall | RSS MB |"
        );
        let _ = writeln!(text, "|---|---|---|---|---|---|---|---|");
        for figures in &self.subjects {
            let Figures { name, size, init, first, warm, p50, p99, memory, .. } = figures;
            let _ = writeln!(
                text,
                "| {name} | {size:.1} | {:.2} / {:.2} | {:.2} / {:.2} | {warm:.3} | {p50:.2} | {p99:.2} | {memory:.1} |",
                init.cpu, init.wall, first.cpu, first.wall,
            );
        }
    }

    fn at_shares(&self, text: &mut String) {
        if self.shares.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\nAt Lambda's share of a CPU, milliseconds of wall clock, first invocation / warm on average:\n"
        );
        let heads: Vec<String> = self.shares.iter().map(|share| format!("{} MB", share.memory)).collect();
        let _ = writeln!(text, "| function | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(self.shares.len()));
        for figures in &self.shares[0].subjects {
            let cells = self
                .shares
                .iter()
                .filter_map(|share| share.subjects.iter().find(|other| other.name == figures.name));
            let cells: Vec<_> = cells.map(|at| format!("{:.1} / {:.1}", at.first.wall, at.mean)).collect();
            let _ = writeln!(text, "| {} | {} |", figures.name, cells.join(" | "));
        }
    }

    fn summary(&self, text: &mut String) {
        let rust = || self.subjects.iter().filter(|figures| figures.variant == Variant::Rust);
        let sizes: Vec<f64> = rust().map(|figures| figures.size).collect();
        let memory: Vec<f64> =
            rust().filter(|figures| !figures.hashes).map(|figures| figures.memory).collect();
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "\nOf these functions: median size {:.1} MB, largest {largest:.1} MB; median RSS {:.1} MB, without those that hash.",
            median(&sizes),
            median(&memory),
        );
    }
}
