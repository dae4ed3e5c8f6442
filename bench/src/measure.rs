//! Rounds of runs.

use std::time::Duration;

use crate::Result;
use crate::cases::Subject;
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
    let warm = |subject: &Subject<'_>| if subject.case.hashes { warm.div_ceil(HASHES) } else { warm };
    in_turn(subjects, rounds, "a whole CPU", warm, None).await
}

/// Runs them at the share of a CPU that comes with `memory` MB; nothing where none can be given.
pub(crate) async fn share<'a>(
    subjects: &'a [Subject<'a>],
    memory: u32,
    rounds: usize,
) -> Result<Option<Vec<Measured<'a>>>> {
    let Some(share) = Share::of(memory) else { return Ok(None) };
    let name = format!("{memory} MB");
    in_turn(subjects, rounds, &name, |_| HELD, Some(&share)).await.map(Some)
}

async fn in_turn<'a>(
    subjects: &'a [Subject<'a>],
    rounds: usize,
    what: &str,
    warm: impl Fn(&Subject<'_>) -> usize,
    share: Option<&Share>,
) -> Result<Vec<Measured<'a>>> {
    let mut measured: Vec<_> =
        subjects.iter().map(|subject| Measured { subject, runs: Vec::new() }).collect();
    for round in 1..=rounds {
        for Measured { subject, runs } in &mut measured {
            eprint!("\r\x1b[K{what}, round {round} of {rounds}: {}", subject.name());
            runs.push(run(subject, warm(subject), share).await?);
        }
    }
    eprintln!("\r\x1b[K");
    Ok(measured)
}

/// A process's life; at a share of a CPU from when it has initialised, for until then Lambda gives a whole one.
async fn run(subject: &Subject<'_>, warm: usize, share: Option<&Share>) -> Result<Run> {
    let mut process = Process::start(&subject.program).await?;
    let init = process.init;
    if let Some(share) = share {
        share.hold(process.id())?;
    }
    // What a process does after it has asked is done by then.
    tokio::time::sleep(Duration::from_millis(40)).await;
    let mut costs = Vec::with_capacity(warm + 1);
    for _ in 0..=warm {
        let (answer, cost) = process.invoke(subject.case.event()).await?;
        subject.check(&answer)?;
        costs.push(cost);
    }
    let memory = process.peak_memory()?;
    process.end().await?;
    let warm = costs.split_off(1);
    Ok(Run { init, first: costs[0], warm, memory })
}
