//! Rounds of runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::cases::{Subject, Variant};
use crate::process::{Cost, Process};
use crate::share::Share;

/// What a function that hashes passwords does less often than others.
const HASHES: usize = 10;
/// Invocations at a share of a CPU, after the first.
const HELD: usize = 20;

/// A process's life.
pub(crate) struct Run {
    /// From its start to its first request for an event.
    pub(crate) init: Cost,
    /// Its first invocation.
    pub(crate) first: Cost,
    /// All others.
    pub(crate) warm: Vec<Cost>,
    /// The most memory that was resident, in bytes.
    pub(crate) memory: u64,
}

/// A subject and its runs, one a round.
pub(crate) struct Measured<'a> {
    /// What was run.
    pub(crate) subject: &'a Subject<'a>,
    /// Round by round.
    pub(crate) runs: Vec<Run>,
}

/// Runs all `subjects` in turn, `rounds` times, with so many invocations after the first.
pub(crate) async fn rounds<'a>(
    subjects: &'a [Subject<'a>],
    rounds: usize,
    warm: usize,
) -> Result<Vec<Measured<'a>>> {
    in_turn(subjects, rounds, "no limit", warm, None).await
}

/// Runs them at the share of a CPU that comes with `memory` MB.
pub(crate) async fn at_share<'a>(
    subjects: &'a [Subject<'a>],
    memory: u32,
    share: &Share,
    rounds: usize,
) -> Result<Vec<Measured<'a>>> {
    in_turn(subjects, rounds, &format!("{memory} MB"), HELD, Some(share)).await
}

async fn in_turn<'a>(
    subjects: &'a [Subject<'a>],
    rounds: usize,
    what: &str,
    warm: usize,
    share: Option<&Share>,
) -> Result<Vec<Measured<'a>>> {
    let mut measured: Vec<_> =
        subjects.iter().map(|subject| Measured { subject, runs: Vec::new() }).collect();
    let mut answers = BTreeMap::new();
    for round in 0..rounds {
        // Each round begins with another one, and every second one goes the other way: nobody always follows the same.
        let count = subjects.len();
        for place in 0..count {
            let place = if round % 2 == 0 { place } else { count - place };
            let Measured { subject, runs } = &mut measured[(round + place) % count];
            eprint!("\r\x1b[K{what}, round {} of {rounds}: {}", round + 1, subject.name());
            let warm = if subject.case.hashes { warm.div_ceil(HASHES) } else { warm };
            let (run, answer) = run(subject, warm, share).await.map_err(|error| {
                format!("{}: {error}; see {}", subject.name(), subject.program.log.display())
            })?;
            runs.push(run);
            let function = subject.case.function;
            match (subject.variant, answers.get(function)) {
                (Variant::Rust, _) => drop(answers.insert(function, answer)),
                (Variant::Node, Some(ours)) if *ours != answer => {
                    return Err(format!("{} answers {answer}, and not {ours}", subject.name()).into());
                }
                // The first round has every function before its port.
                _ => {}
            }
        }
    }
    eprintln!("\r\x1b[K");
    Ok(measured)
}

/// A process's life and its last answer; at a share of a CPU from when it has initialised, for until then Lambda gives a whole one.
async fn run(subject: &Subject<'_>, warm: usize, share: Option<&Share>) -> Result<(Run, Value)> {
    let mut process = Process::start(&subject.program).await?;
    let lived = life(&mut process, subject, warm, share).await;
    // Whatever came of it: a share cannot be taken away from a process that is there. What went wrong first is told.
    let ended = process.end().await;
    lived.and_then(|lived| ended.map(|()| lived))
}

async fn life(
    process: &mut Process,
    subject: &Subject<'_>,
    warm: usize,
    share: Option<&Share>,
) -> Result<(Run, Value)> {
    let init = process.init;
    if let Some(share) = share {
        share.hold(process.id())?;
    }
    // What a process does after it has asked is done by then.
    tokio::time::sleep(Duration::from_millis(40)).await;
    let mut costs = Vec::with_capacity(warm + 1);
    let mut answer = Value::Null;
    for _ in 0..=warm {
        let (answered, cost) = process.invoke(subject.case.event()).await?;
        answer = subject.check(&answered)?;
        costs.push(cost);
    }
    let memory = process.peak_memory()?;
    let warm = costs.split_off(1);
    Ok((Run { init, first: costs[0], warm, memory }, answer))
}
