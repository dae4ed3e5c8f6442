//! What is measured, built: the functions and the floor by cargo, their ports by npm.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cases::Variant;

/// The measured functions by their crates: each crate by itself, as it is built to be deployed.
const FUNCTIONS: &[(&str, &[&str])] = &[
    ("auth", &["auth-me", "auth-jwks", "auth-login", "auth-register"]),
    ("events", &["events-relay"]),
    ("files", &["files-create"]),
    ("jobs", &["email-worker", "cleanup-expired-tokens"]),
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
    if let Some(previous) = &previous
        && !FUNCTIONS
            .iter()
            .flat_map(|(_, names)| *names)
            .any(|name| local::bundle::built(previous, name).is_ok())
    {
        return Err(format!("{}: there is no function of the previous release", previous.display()).into());
    }
    let ports = target.join("bench/node");
    let node = if node { Some(build_ports(&ports)?) } else { None };
    let release = target.join("release");
    let floors = built.clone().filter(|built| built.join("floor").is_file());
    for (package, functions) in FUNCTIONS {
        let there = if *package == "floor" { &floors } else { &built };
        if there.is_none() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--release", "--locked", "--quiet", "-p", package]);
            cargo.args(functions.iter().flat_map(|function| ["--bin", function]));
            cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
            run(&mut cargo, "cargo")?;
        }
    }
    let logs = target.join("bench/logs");
    std::fs::create_dir_all(&logs)?;
    let functions = built.unwrap_or_else(|| release.clone());
    Ok(Artifacts { functions, previous, floors: floors.unwrap_or(release), node, ports, logs })
}

/// Bundles the ports; answers where Node.js is.
fn build_ports(to: &Path) -> Result<PathBuf> {
    const WANTED: &str = "Node.js 20 or later and npm, or --no-node";
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let node = std::env::split_paths(&paths).map(|path| path.join("node")).find(|path| path.is_file());
    let node = node.ok_or_else(|| format!("there is no node: it takes {WANTED}"))?;
    let npm = |arguments: &[&str]| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        run(Command::new("npm").args(arguments).current_dir(sources), &format!("npm ({WANTED})"))
    };
    npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])?;
    npm(&["run", "--silent", "build", "--", &format!("--outdir={}", to.display())])?;
    Ok(node)
}

fn run(command: &mut Command, name: &str) -> Result<()> {
    let status = command.status().map_err(|error| format!("{name} cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} has failed: {command:?}").into()) }
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
