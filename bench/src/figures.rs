//! What a subject's runs come to.

use serde::Serialize;

use crate::cases::Variant;
use crate::measure::{Measured, Run};
use crate::process::Cost;

/// A subject's figures: medians over its runs. Times are in milliseconds, sizes in megabytes (10^6 bytes).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// What was measured.
    pub(crate) name: String,
    /// What ran it.
    pub(crate) variant: Variant,
    /// Whether it hashes passwords.
    pub(crate) hashes: bool,
    /// What is deployed.
    pub(crate) size: f64,
    /// From the start to the first request for an event.
    pub(crate) init: Times,
    /// The first invocation.
    pub(crate) first: Times,
    /// CPU of init and first invocation together.
    pub(crate) start_cpu: f64,
    /// The same, times the floor's in the same round.
    #[serde(rename = "startCpuOfFloor")]
    pub(crate) floors: f64,
    /// How many times as much that is in Node.js in the same round.
    #[serde(rename = "nodeStartCpu", skip_serializing_if = "Option::is_none")]
    pub(crate) node_start: Option<f64>,
    /// The same, times the previous release's in the same round.
    #[serde(rename = "startCpuOfPrevious", skip_serializing_if = "Option::is_none")]
    pub(crate) previous_start: Option<f64>,
    /// CPU of a warm invocation, on average.
    #[serde(rename = "warmCpu")]
    pub(crate) warm: f64,
    /// The same beyond the floor's in the same round.
    #[serde(rename = "warmCpuBeyondFloor")]
    pub(crate) beyond: f64,
    /// How many times as much that is in Node.js in the same round.
    #[serde(rename = "nodeWarmCpu", skip_serializing_if = "Option::is_none")]
    pub(crate) node_warm: Option<f64>,
    /// The same, times the previous release's in the same round.
    #[serde(rename = "warmCpuOfPrevious", skip_serializing_if = "Option::is_none")]
    pub(crate) previous_warm: Option<f64>,
    /// Wall clock of a warm invocation, on average: at a share of a CPU, most take little and some wait long.
    pub(crate) mean: f64,
    /// Wall clock of a warm invocation: the median of all.
    pub(crate) p50: f64,
    /// Wall clock of a warm invocation: the 99th percentile of all.
    pub(crate) p99: f64,
    /// The most memory that was resident.
    pub(crate) memory: f64,
    /// The same, times the floor's in the same round.
    #[serde(rename = "memoryOfFloor")]
    pub(crate) memory_floors: f64,
    /// How many times as much that is in Node.js in the same round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_memory: Option<f64>,
}

/// A wall clock's time and a process's own.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Times {
    /// As a user waits.
    pub(crate) wall: f64,
    /// On any CPU.
    pub(crate) cpu: f64,
}

impl Figures {
    /// Of all that was measured in the same rounds, the floor first.
    pub(crate) fn of(measured: &[Measured<'_>]) -> Vec<Self> {
        let floor = &measured[0].runs;
        measured.iter().map(|one| Self::of_one(one, floor, measured)).collect()
    }

    fn of_one(one: &Measured<'_>, floor: &[Run], all: &[Measured<'_>]) -> Self {
        let Measured { subject, runs } = one;
        let beside = |variant| {
            let same = |other: &&Measured<'_>| {
                subject.variant == Variant::Rust
                    && other.subject.variant == variant
                    && other.subject.case.function == subject.case.function
            };
            all.iter().find(same).map(|other| &*other.runs)
        };
        let (node, previous) = (beside(Variant::Node), beside(Variant::Previous));
        let walls: Vec<f64> = runs.iter().flat_map(|run| &run.warm).map(|cost| ms(cost.wall)).collect();
        Self {
            name: subject.name(),
            variant: subject.variant,
            hashes: subject.case.hashes,
            size: megabytes(subject.bytes),
            init: Times::of(runs, |run| run.init),
            first: Times::of(runs, |run| run.first),
            start_cpu: over(runs, start),
            floors: paired(runs, floor, |run, floor| start(run) / start(floor)),
            node_start: node.map(|node| paired(node, runs, |node, run| start(node) / start(run))),
            previous_start: previous.map(|other| paired(runs, other, |run, other| start(run) / start(other))),
            warm: over(runs, warm),
            beyond: paired(runs, floor, |run, floor| warm(run) - warm(floor)),
            node_warm: node.map(|node| paired(node, runs, |node, run| warm(node) / warm(run))),
            previous_warm: previous.map(|other| paired(runs, other, |run, other| warm(run) / warm(other))),
            #[allow(clippy::cast_precision_loss)] // no run has 2^52 invocations
            mean: walls.iter().sum::<f64>() / walls.len() as f64,
            p50: percentile(&walls, 50),
            p99: percentile(&walls, 99),
            memory: over(runs, memory),
            memory_floors: paired(runs, floor, |run, floor| memory(run) / memory(floor)),
            node_memory: node.map(|node| paired(node, runs, |node, run| memory(node) / memory(run))),
        }
    }
}

impl Times {
    fn of(runs: &[Run], cost: impl Fn(&Run) -> Cost) -> Self {
        Self { wall: over(runs, |run| ms(cost(run).wall)), cpu: over(runs, |run| ms(cost(run).cpu)) }
    }
}

/// CPU of init and first invocation.
fn start(run: &Run) -> f64 {
    ms(run.init.cpu + run.first.cpu)
}

/// CPU of a warm invocation, on average: a clock of a process is too coarse for a single one.
fn warm(run: &Run) -> f64 {
    let all: std::time::Duration = run.warm.iter().map(|cost| cost.cpu).sum();
    ms(all) / f64::from(u32::try_from(run.warm.len()).unwrap_or(u32::MAX)).max(1.0)
}

/// The most memory that was resident.
fn memory(run: &Run) -> f64 {
    megabytes(run.memory)
}

fn over(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(figure).collect::<Vec<_>>())
}

/// The median over rounds of what two subjects' runs of the same round come to.
fn paired(runs: &[Run], others: &[Run], figure: impl Fn(&Run, &Run) -> f64) -> f64 {
    median(&runs.iter().zip(others).map(|(run, other)| figure(run, other)).collect::<Vec<_>>())
}

/// The middle of these figures.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let above = |figures: &[f64]| -percentile(&figures.iter().map(|figure| -figure).collect::<Vec<_>>(), 50);
    f64::midpoint(percentile(figures, 50), above(figures))
}

/// The figure that so many of a hundred do not exceed.
fn percentile(figures: &[f64], hundredths: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

fn ms(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[allow(clippy::cast_precision_loss)] // sizes are far from 2^52
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use local_aws::lambda::Binary;
    use serde_json::Value;

    use super::*;
    use crate::cases::{Case, Subject};
    use crate::process::Program;

    #[test]
    #[allow(clippy::float_cmp)]
    fn ratios_are_of_a_function_over_the_floor_and_of_node_over_the_function() {
        let (get, me) = (Case::of("products-get", || Value::Null), Case::of("auth-me", || Value::Null));
        let subject = |case, variant| {
            let binary = Binary::new("made up", PathBuf::new());
            let program = Program { binary, interpreter: None, log: PathBuf::new() };
            Subject { case, variant, program, bytes: 5_000_000 }
        };
        // Init and first invocation take half of `start` each.
        let run = |start: u64, warm: u64, memory: u64| {
            let cost = |ms| Cost { wall: Duration::from_millis(9), cpu: Duration::from_millis(ms) };
            let warm = vec![cost(warm - 1), cost(warm + 1)];
            Run { init: cost(start / 2), first: cost(start / 2), warm, memory: memory * 1_000_000 }
        };
        let subjects = [
            subject(&get, Variant::Floor),
            subject(&me, Variant::Rust),
            subject(&me, Variant::Previous),
            subject(&me, Variant::Node),
        ];
        // The second round is on a machine that takes twice as long, which no ratio shows.
        let runs = [[run(4, 2, 3), run(8, 4, 3)], [run(8, 5, 6), run(16, 10, 6)]];
        let more = [[run(16, 10, 12), run(32, 20, 12)], [run(400, 50, 60), run(800, 100, 60)]];
        let measured: Vec<_> = subjects
            .iter()
            .zip(runs.into_iter().chain(more))
            .map(|(subject, runs)| Measured { subject, runs: runs.into() })
            .collect();
        let [floor, me, previous, node] = &Figures::of(&measured)[..] else { panic!("four subjects") };
        assert_eq!([floor.floors, floor.beyond, floor.memory_floors], [1.0, 0.0, 1.0]);
        assert_eq!([me.floors, me.beyond, me.memory_floors, me.size], [2.0, 4.5, 2.0, 5.0]);
        assert_eq!([me.previous_start, me.previous_warm], [Some(0.5); 2]);
        assert_eq!([me.node_start, me.node_warm, me.node_memory], [Some(50.0), Some(10.0), Some(10.0)]);
        assert_eq!([previous.floors, node.floors], [4.0, 100.0]);
        assert_eq!([me.start_cpu, me.warm, me.p50], [12.0, 7.5, 9.0]);
        assert_eq!(floor.node_start, None);
    }

    #[test]
    #[allow(clippy::float_cmp)]
    fn percentiles_are_figures_and_a_median_of_two_lies_between() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&hundred, 99), 99.0);
        assert_eq!(percentile(&hundred, 50), 50.0);
        assert_eq!(median(&hundred), 50.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[7.0]), 7.0);
    }
}
