//! Measures the built functions as Lambda runs them, beside the least that a function in Rust can cost and beside
//! the same endpoints in Node.js.
//!
//! Every binary is a process of its own, driven through the Lambda Runtime API against the embedded cloud behind
//! TLS. Rounds are interleaved: each starts every subject once, so that what the machine does in between falls on
//! all of them. Nothing here is deployed.

mod artifacts;
mod cases;
mod chart;
mod figures;
mod measure;
mod process;
mod report;
mod share;
mod stack;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::report::Report;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Measures the functions as they are deployed, beside a function that only greets and beside Node.js
#[derive(Parser)]
struct Arguments {
    /// Where built functions are, as NAME or NAME/bootstrap; without it, they are built
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// How often each subject is started
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Invocations of each process after its first
    #[arg(long, default_value_t = 200)]
    warm: usize,
    /// Only subjects whose names begin with one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The memory sizes, in MB, whose share of a CPU is given to what is measured besides; cgroups have to be writable
    #[arg(long, value_delimiter = ',', default_value = "128,256,512,1024")]
    memory: Vec<u32>,
    /// Without Node.js
    #[arg(long)]
    no_node: bool,
    /// Where to write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to write the chart
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The figures of another run, to be held against
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let previous = arguments.previous.as_deref().map(Report::read).transpose()?;
    let artifacts = artifacts::make(arguments.functions, !arguments.no_node)?;
    let stack = stack::Stack::start().await?;
    let cases = cases::all(&stack).await?;
    let subjects = cases::subjects(&artifacts, &stack, &cases, &arguments.only)?;
    let measured = measure::rounds(&subjects, arguments.rounds, arguments.warm).await?;
    let mut shares = Vec::new();
    for memory in arguments.memory {
        match measure::share(&subjects, memory, arguments.rounds).await? {
            Some(measured) => shares.push((memory, measured)),
            None => eprintln!("no share of a CPU for {memory} MB: no control group can be made here"),
        }
    }
    let report = Report::of(&measured, &shares);
    stack.stop().await;
    print!("{}", report.tables(previous.as_ref()));
    if let Some(path) = arguments.json {
        report.write(&path)?;
    }
    if let Some(path) = arguments.svg {
        std::fs::write(path, chart::svg(&report))?;
    }
    Ok(())
}
