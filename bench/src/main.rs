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
mod load;
mod measure;
mod process;
mod report;
mod share;
mod stack;
mod tls;

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::Handle;

use crate::report::{Report, Setup};
use crate::share::Share;
use crate::stack::Stack;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// How long the cloud may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// Measures the functions as they are deployed
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Each by itself, beside a function that only greets and beside Node.js
    Functions(Functions),
    /// The whole bundle under load, by wrk
    Load {
        /// Where built functions are, all of them, as NAME or NAME/bootstrap
        #[arg(long, value_name = "DIR")]
        bundle: PathBuf,
        /// How long each kind of request is made, in seconds
        #[arg(long, default_value_t = 15)]
        seconds: u32,
    },
}

#[derive(Args)]
struct Functions {
    /// Where built functions are, as NAME or NAME/bootstrap, and the floors; without it, they are built
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// How often each subject is started
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    rounds: usize,
    /// Invocations of each process after its first
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    warm: usize,
    /// Only functions whose names begin with one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The memory sizes, in MB, whose share of a CPU is given to what is measured besides, or none: control groups have to be writable
    #[arg(
        long,
        value_delimiter = ',',
        num_args = 0..,
        default_value = "128,256,512,1024",
        value_parser = clap::value_parser!(u32).range(128..=10_240),
    )]
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
    /// Where the functions of another release are, to be measured beside these
    #[arg(long, value_name = "DIR")]
    previous: Option<PathBuf>,
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it takes one at least".to_owned()),
    }
}

// What drives the processes has one thread, and the cloud its own: their wake-ups would be measured too.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // For the client, which wants one before its first request; there is none yet.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match measured(Arguments::parse().what).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints tables in Markdown.
async fn measured(what: What) -> Result<()> {
    let cloud = tokio::runtime::Runtime::new()?;
    let measured = match what {
        What::Functions(arguments) => functions(arguments, cloud.handle()).await,
        What::Load { bundle, seconds } => cloud
            .spawn(load::table(bundle, seconds))
            .await
            .map_err(Into::into)
            .flatten()
            .map(|table| print!("{table}")),
    };
    // It waits for its tasks, which hold temporary files: a runtime must not do that within another one.
    tokio::task::spawn_blocking(|| cloud.shutdown_timeout(STOP)).await?;
    measured
}

async fn functions(arguments: Functions, cloud: &Handle) -> Result<()> {
    for path in arguments.json.iter().chain(&arguments.svg) {
        // What is there stays until there are new figures.
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let artifacts = artifacts::make(arguments.bundle, arguments.previous, !arguments.no_node)?;
    let stack = cloud.spawn(Stack::start()).await??;
    let cases = cases::all(&stack).await?;
    let subjects = cases::subjects(&artifacts, &stack, &cases, &arguments.only)?;
    let setup = Setup::here(artifacts.node_version()?, arguments.rounds, arguments.warm);
    let measured = measure::rounds(&subjects, arguments.rounds, arguments.warm).await?;
    let mut shares = Vec::new();
    for memory in arguments.memory {
        match Share::of(memory) {
            Ok(share) => {
                let measured = measure::at_share(&subjects, memory, &share, arguments.rounds).await?;
                shares.push((memory, measured));
            }
            Err(error) => eprintln!("nothing at the share of {memory} MB: {error}"),
        }
    }
    let report = Report::of(setup, &measured, &shares);
    cloud.spawn(stack.stop()).await?;
    // Before the files, which may not be writable any more.
    print!("{}", report.tables());
    if let Some(path) = arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    if let Some(path) = arguments.svg {
        std::fs::write(path, chart::svg(&report))?;
    }
    Ok(())
}
