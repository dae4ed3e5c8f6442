//! `cargo run`: the whole bundle on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use local::dead_letters::{DeadLetters, Redriven};
use local::gateway::REQUESTS;
use local::template::Template;
use local::{Bundle, Options};
use local_aws::State;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Runs Arcana on this machine: the API, and an AWS endpoint behind it. Everything listens on loopback only.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The API's port; 0 picks a free one
    #[arg(long, env = "ARCANA_PORT", default_value_t = 3000)]
    port: u16,
    /// The AWS endpoint's port; 0 picks a free one
    #[arg(long, env = "ARCANA_AWS_PORT", default_value_t = 4566)]
    aws_port: u16,
    /// Where state is kept
    #[arg(long, env = "ARCANA_DATA_DIR", default_value = ".local")]
    data_dir: PathBuf,
    /// Keep no state, whatever the data directory
    #[arg(long)]
    memory: bool,
    /// Run the built binaries of this directory, one process for each concurrent invocation
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// A parameter of template.yaml
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    parameter: Vec<(String, String)>,
    /// Let no queue, stream or schedule invoke this function
    #[arg(long, value_name = "FUNCTION")]
    hold: Vec<String>,
    /// Another AWS endpoint instead of the embedded one
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    aws_endpoint: Option<String>,
    /// Show the functions' logs too
    #[arg(long, short)]
    verbose: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Give an account of the running bundle a role
    GrantRole {
        /// Whose account
        email: String,
        /// Which role
        #[arg(value_parser = ["user", "admin"])]
        role: String,
        /// The API's port
        #[arg(long, env = "ARCANA_PORT", default_value_t = 3000)]
        port: u16,
    },
    /// Print the API's `OpenAPI` document, or write it where it is kept: docs/openapi.json
    Openapi {
        /// Where to
        file: Option<PathBuf>,
    },
    /// Fill the catalogue of the running bundle
    Seed {
        /// With how many products
        count: u64,
        /// The AWS endpoint's port
        #[arg(long, env = "ARCANA_AWS_PORT", default_value_t = 4566)]
        aws_port: u16,
    },
    /// Look at the dead-letter queues of the running bundle, and put back what is in them
    Dlq {
        #[command(subcommand)]
        what: Dlq,
        /// The API's port
        #[arg(long, env = "ARCANA_PORT", default_value_t = 3000, global = true)]
        port: u16,
        /// The AWS endpoint's port
        #[arg(long, env = "ARCANA_AWS_PORT", default_value_t = 4566, global = true)]
        aws_port: u16,
    },
    /// Print what the template lets each function do, or what of it nobody has used
    Permissions {
        /// What was used: a file that `ARCANA_PERMISSIONS_LOG` had tests write
        #[arg(long, value_name = "FILE")]
        used: Option<PathBuf>,
    },
    /// Put to the rules of the running bundle once more what went over its bus between two moments
    Replay {
        /// From when on, as 2026-11-25T10:00:00Z
        from: String,
        /// Until when
        to: String,
        /// The AWS endpoint's port
        #[arg(long, env = "ARCANA_AWS_PORT", default_value_t = 4566)]
        aws_port: u16,
    },
    /// Run every built binary once with its sample event
    Smoke {
        /// Where the binaries are
        #[arg(long, value_name = "DIR")]
        bundle: PathBuf,
    },
}

#[derive(Subcommand)]
enum Dlq {
    /// Each queue and how many messages are in it
    List,
    /// The first ten messages of a queue, and why they are there
    Show {
        /// Which queue
        queue: String,
    },
    /// Put back what is in a queue to where it came from
    Redrive {
        /// Which queue
        queue: String,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    show_logs(arguments.verbose);
    let ended = match arguments.command {
        Some(Command::Smoke { bundle }) => local::smoke::run(&bundle).await,
        Some(Command::Permissions { used }) => local::permissions::run(used.as_deref()).await,
        Some(Command::Openapi { file }) => write_document(file),
        Some(Command::GrantRole { email, role, port }) => grant_role(&email, &role, port).await,
        Some(Command::Seed { count, aws_port }) => local::seed::run(aws_port, count).await,
        Some(Command::Dlq { what, port, aws_port }) => dlq(&DeadLetters::at(aws_port), what, port).await,
        Some(Command::Replay { from, to, aws_port }) => replay(&DeadLetters::at(aws_port), &from, &to).await,
        None => serve(arguments).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn grant_role(email: &str, role: &str, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let roles = local::grant::role(port, email, role).await?;
    println!("{email} has the roles {roles}; sessions from before have ended: log in again");
    Ok(())
}

async fn replay(letters: &DeadLetters, from: &str, to: &str) -> Result<(), Box<dyn std::error::Error>> {
    letters.replay(from, to).await?;
    println!("what went over the bus from {from} to {to} was told again");
    Ok(())
}

async fn dlq(letters: &DeadLetters, what: Dlq, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    match what {
        Dlq::List => {
            for (queue, count) in letters.list().await? {
                println!("{count:>6}  {queue}");
            }
        }
        Dlq::Show { queue } => {
            for message in letters.show(&queue).await? {
                println!("{message}");
            }
        }
        Dlq::Redrive { queue } => {
            let Redriven { back, left } = letters.redrive(&queue, port).await?;
            println!("{back} put back");
            if left > 0 {
                return Err(format!(
                    "{left} cannot be put back and stay: look with `dlq show`, and at the log"
                )
                .into());
            }
        }
    }
    Ok(())
}

fn write_document(file: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    let template = Template::read(&local::bundle::default_template(), &BTreeMap::new())?;
    let text = local::openapi::text_of(&local::openapi::document(&template));
    match file {
        // Not by the shell, which would empty the file before the program that holds it is built.
        Some(file) => std::fs::write(file, text)?,
        None => print!("{text}"),
    }
    Ok(())
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let state = if arguments.memory { State::Memory } else { State::Directory(arguments.data_dir.clone()) };
    let kept = match &state {
        State::Memory => "memory only".to_owned(),
        State::Directory(directory) => directory.display().to_string(),
    };
    let options = Options {
        port: arguments.port,
        aws_port: arguments.aws_port,
        state,
        aws_endpoint: arguments.aws_endpoint,
        bundle: arguments.bundle,
        parameters: arguments.parameter.into_iter().collect::<BTreeMap<_, _>>(),
        held: arguments.hold,
        ..Options::default()
    };
    let mut bundle = Bundle::start(options).await?;
    println!(
        "arcana: API on {}, AWS on {}, {} functions, state in {kept}; Ctrl-C stops",
        bundle.api_url(),
        bundle.aws_url(),
        bundle.functions().count(),
    );
    for note in bundle.notes() {
        println!("{note}");
    }
    for ignored in bundle.ignored() {
        eprintln!("warning: not emulated: {ignored}");
    }
    let failed = tokio::select! {
        stopped = stopped() => {
            stopped?;
            None
        }
        failed = bundle.failed() => Some(failed),
    };
    println!("arcana: stopping");
    bundle.stop().await;
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// A line for each request on standard output; warnings, and with `verbose` all that functions say, on
/// standard error.
fn show_logs(verbose: bool) {
    let requests = tracing_subscriber::fmt::layer()
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_filter(Targets::new().with_target(REQUESTS, LevelFilter::INFO));
    let ours = if verbose { LevelFilter::INFO } else { LevelFilter::WARN };
    let others = tracing_subscriber::fmt::layer().compact().with_writer(std::io::stderr).with_filter(
        Targets::new()
            .with_default(ours)
            .with_target(REQUESTS, LevelFilter::OFF)
            .with_target("dynoxide", LevelFilter::ERROR)
            .with_target("s3s", LevelFilter::ERROR),
    );
    tracing_subscriber::registry().with(requests).with(others).init();
}
