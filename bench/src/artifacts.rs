//! What is measured, built: the functions and the floor by cargo, their ports by npm.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cases::Variant;

/// The measured functions by their crates: each crate by itself, as it is built to be deployed.
const FUNCTIONS: &[(&str, &[&str])] = &[
    ("auth", &["auth-me", "auth-login", "auth-register"]),
    ("events", &["events-relay", "events-redrive"]),
    ("files", &["files-create"]),
    ("jobs", &["email-worker", "cleanup-expired-tokens"]),
    ("ops", &["ops-health"]),
    ("products", &["products-get", "products-list", "products-search", "products-grpc", "products-stock"]),
    ("floor", &["floor", "floor-read"]),
];

/// Where everything is.
pub(crate) struct Artifacts {
    functions: PathBuf,
    previous: Option<PathBuf>,
    floors: PathBuf,
    node: Option<PathBuf>,
    ports: PathBuf,
    logs: PathBuf,
}

/// Builds what is missing: the functions too, unless they are in a directory already.
pub(crate) fn make(built: Option<PathBuf>, previous: Option<PathBuf>, node: bool) -> Result<Artifacts> {
    let executable = std::env::current_exe()?;
    let target = executable.ancestors().nth(2).ok_or("no target directory")?;
    let release = target.join("release");
    for (package, functions) in FUNCTIONS {
        if built.is_none() || *package == "floor" {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--release", "--quiet", "-p", package]);
            cargo.args(functions.iter().flat_map(|function| ["--bin", function]));
            run(cargo.env("CARGO_TARGET_DIR", target))?;
        }
    }
    let logs = target.join("bench/logs");
    std::fs::create_dir_all(&logs)?;
    let ports = target.join("bench/node");
    let node = if node { Some(build_ports(&ports)?) } else { None };
    let functions = built.unwrap_or_else(|| release.clone());
    Ok(Artifacts { functions, previous, floors: release, node, ports, logs })
}

/// Bundles the ports; answers where Node.js is.
fn build_ports(to: &Path) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    if !sources.join("node_modules").exists() {
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&sources))?;
    }
    let to = format!("--outdir={}", to.display());
    run(Command::new("npm").args(["run", "--silent", "build", "--", &to]).current_dir(&sources))?;
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let node = std::env::split_paths(&paths).map(|path| path.join("node")).find(|path| path.is_file());
    Ok(node.ok_or("there is no node: install Node.js 20 or later, or say --no-node")?)
}

fn run(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let status = command.status().map_err(|error| format!("{name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} has failed").into()) }
}

impl Artifacts {
    /// What runs `function`, and with which interpreter; nothing where there is no such port.
    pub(crate) fn of(&self, function: &str, variant: Variant) -> Result<Option<(PathBuf, Option<PathBuf>)>> {
        match variant {
            Variant::Floor => Ok(Some((self.floors.join("floor"), None))),
            Variant::Read => Ok(Some((self.floors.join("floor-read"), None))),
            Variant::Rust => {
                let path = local::bundle::built(&self.functions, function)?;
                Ok(Some((std::path::absolute(path)?, None)))
            }
            // It may not have had every function.
            Variant::Previous => {
                let path = self.previous.as_deref().and_then(|of| local::bundle::built(of, function).ok());
                Ok(path.map(std::path::absolute).transpose()?.map(|path| (path, None)))
            }
            Variant::Node => {
                let port = self.ports.join(format!("{function}.js"));
                let node = self.node.clone().filter(|_| port.is_file());
                Ok(node.map(|node| (port, Some(node))))
            }
        }
    }

    /// Where a subject's output goes.
    pub(crate) fn log(&self, subject: &str) -> PathBuf {
        self.logs.join(format!("{subject}.log"))
    }
}
