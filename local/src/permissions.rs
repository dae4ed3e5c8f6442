//! The rights of the functions: which they have, and which they use.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use local_aws::Iam;
use local_aws::iam::{Decision, Permission};

use crate::bundle::{Bundle, Options};

/// What is done about the rights of a bundle's functions besides giving them.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    /// Takes a line for each right that is used or missed, whose `by` is the name beside it.
    pub log: Option<(PathBuf, String)>,
    /// A right that its function does not get.
    pub withheld: Option<Permission>,
}

impl Permissions {
    /// Has a cloud's roles do so.
    pub fn apply(&self, iam: &Iam) -> std::io::Result<()> {
        if let Some((path, by)) = &self.log {
            iam.log_to(File::options().create(true).append(true).open(path)?, by);
        }
        if let Some(withheld) = &self.withheld {
            iam.withhold(withheld.clone());
        }
        Ok(())
    }
}

/// Prints every right that the template gives a function; with a log of what was used, those that nobody has used, and
/// fails if there are some.
pub async fn run(used: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    // Nothing invokes a function: it is the template that is asked.
    let held = crate::functions().map(|function| function.name.to_owned()).collect();
    let bundle = Bundle::start(Options { held, ..Options::default() }).await?;
    let granted = bundle.granted().clone();
    bundle.stop().await;
    let Some(log) = used else {
        let mut out = std::io::stdout().lock();
        for Permission { role, action, resource } in granted {
            // Whoever reads only the beginning has seen enough.
            if writeln!(out, "{role} {action} {resource}").is_err() {
                break;
            }
        }
        return Ok(());
    };
    let used = read(log)?;
    let unused: Vec<_> = granted.difference(&used).collect();
    println!("{} rights are given, {} of them are used", granted.len(), granted.len() - unused.len());
    for Permission { role, action, resource } in &unused {
        println!("nobody has used: {role} {action} {resource}");
    }
    if unused.is_empty() { Ok(()) } else { Err(format!("{} rights are not used", unused.len()).into()) }
}

/// What a log says was allowed.
fn read(log: &Path) -> Result<BTreeSet<Permission>, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let decisions = text.lines().map(serde_json::from_str::<Decision>).collect::<Result<Vec<_>, _>>()?;
    Ok(decisions
        .into_iter()
        .filter(|decision| decision.allowed)
        .map(|decision| decision.permission)
        .collect())
}
