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
    node: Option<PathBuf>,
    ports: PathBuf,
    logs: PathBuf,
}

/// Builds what is missing: the functions and floors too, unless they are in a directory already.
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
    let functions = match built {
        Some(built) => built,
        None => build_functions(target, previous.as_deref())?,
    };
    let logs = target.join("bench/logs");
    std::fs::create_dir_all(&logs)?;
    Ok(Artifacts { functions, previous, node, ports, logs })
}

/// Builds the functions and floors as they are deployed; answers where they are.
fn build_functions(target: &Path, previous: Option<&Path>) -> Result<PathBuf> {
    let release = target.join("release");
    if previous.is_some_and(|previous| previous.canonicalize().ok() == release.canonicalize().ok()) {
        return Err("the previous release is where the new one would be built: move it away".into());
    }
    for (package, functions) in FUNCTIONS {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--locked", "--quiet", "-p", package]);
        cargo.args(functions.iter().flat_map(|function| ["--bin", function]));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
        run(&mut cargo, "cargo")?;
    }
    Ok(release)
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
            Variant::Floor => self.built("floor"),
            Variant::Read => self.built("floor-read"),
            Variant::Rust => self.built(function),
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

    fn built(&self, name: &str) -> Result<Option<(PathBuf, Option<PathBuf>)>> {
        let path = local::bundle::built(&self.functions, name)?;
        Ok(Some((std::path::absolute(path)?, None)))
    }

    /// The version of Node.js, where ports are measured.
    pub(crate) fn node_version(&self) -> Result<Option<String>> {
        let Some(node) = &self.node else { return Ok(None) };
        let said = Command::new(node).arg("--version").output()?.stdout;
        Ok(Some(String::from_utf8_lossy(&said).trim().trim_start_matches('v').to_owned()))
    }

    /// Where a subject's output goes.
    pub(crate) fn log(&self, subject: &str) -> PathBuf {
        self.logs.join(format!("{subject}.log"))
    }
}
